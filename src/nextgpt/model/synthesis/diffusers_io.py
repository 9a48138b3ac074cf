"""A diffusers folder on disk: which parts it names, how one is read, and how a whole folder is written.

Only classes that we know are ever loaded, only from safetensors, and every tensor must find its place.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from nextgpt.errors import ModelError, WeightsError
from nextgpt.model.synthesis.settings import SynthesisSettings

INDEX_FILE = "model_index.json"
SETTINGS_FILE = "nextgpt.json"
NEGATIVE_FILE = "negative_condition.safetensors"
NEGATIVE_KEY = "negative_condition"

ModelIndex = dict[str, str]
"""Names of the parts, each with its class."""


@runtime_checkable
@runtime_checkable
class SavePretrained(Protocol):
    """What diffusers and transformers models, tokenizers and schedulers have in common."""

    def save_pretrained(self, save_directory: str | Path) -> Any:
        """Write files."""
        ...


def read_index(folder: Path) -> ModelIndex:
    """Read which parts a folder has. Raises :class:`ModelError`."""
    if not folder.is_dir():
        raise ModelError(
            f"{folder} is missing; expected a diffusers folder. Check the name, or fetch the model again."
        )
    entries = read_json(folder / INDEX_FILE)
    # Entries with an underscore are diffusers' own notes; [null, null] is a part that was left out.
    return {
        name: value[1]
        for name, value in entries.items()
        if isinstance(value, list) and len(value) == 2 and value[1] is not None
    }


def read_settings(folder: Path) -> SynthesisSettings:
    """Read ``nextgpt.json``; nothing is set where there is none. Raises :class:`ModelError` where it is wrong."""
    path = folder / SETTINGS_FILE
    if not path.is_file():
        return SynthesisSettings()
    try:
        return SynthesisSettings.model_validate(read_json(path))
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise ModelError(
            f"{path} has impossible settings ({faults}); expected those of SynthesisSettings. Correct them."
        ) from None


def read_negative_condition(folder: Path) -> Float[Tensor, "Q C"] | None:
    """Read the condition of the empty caption, if there is one. Raises :class:`WeightsError` where it is damaged."""
    path = folder / NEGATIVE_FILE
    if not path.is_file():
        return None
    check_weights_file(path)
    tensors = load_file(path)
    if NEGATIVE_KEY not in tensors or tensors[NEGATIVE_KEY].ndim != 2:
        held = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in tensors.items())
        raise WeightsError(
            f"{path} holds {held}; expected {NEGATIVE_KEY} (Q, C). Write it with add_negative_condition."
        )
    return tensors[NEGATIVE_KEY].float()


def write_negative_condition(folder: str | Path, condition: Float[Tensor, "Q C"]) -> None:
    """Keep the condition of the empty caption beside the parts, so that guidance needs no text encoder."""
    save_file({NEGATIVE_KEY: condition.detach().cpu().contiguous()}, Path(folder) / NEGATIVE_FILE)


def write_pipeline_dir(
    folder: str | Path,
    parts: Mapping[str, SavePretrained] = {},
    *,
    pipeline: str = "DiffusionPipeline",
    settings: SynthesisSettings | None = None,
    negative_condition: Float[Tensor, "Q C"] | None = None,
) -> None:
    """Write parts as a diffusers folder. The index names these parts and those that lie in the folder already.

    Args:
        parts: By their name on disk: ``transformer`` or ``unet``, ``vae``, ``scheduler``, ``vocoder``,
            ``text_encoder``, ``tokenizer``.
        pipeline: The stock pipeline's class that can run the folder.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / INDEX_FILE
    index = read_json(path) if path.is_file() else {}
    index["_class_name"] = pipeline
    for name, part in parts.items():
        part.save_pretrained(folder / name)
        _strip_name_or_path(folder / name / "config.json")
        index[name] = [_library(part), type(part).__name__]
    path.write_text(json.dumps(index, indent=2) + "\n")
    if settings is not None:
        (folder / SETTINGS_FILE).write_text(settings.model_dump_json(indent=2, exclude_unset=True) + "\n")
    if negative_condition is not None:
        write_negative_condition(folder, negative_condition)


def _strip_name_or_path(path: Path) -> None:
    """Leave out where a part was read from, which diffusers writes down and nobody else can use."""
    if path.is_file():
        settings = read_json(path)
        if settings.pop("_name_or_path", None) is not None:
            path.write_text(json.dumps(settings, indent=2) + "\n")


def _library(part: object) -> str:
    """The library's name as diffusers writes it: its own and transformers' by name, others by their module."""
    module = type(part).__module__
    top = module.partition(".")[0]
    return top if top in ("diffusers", "transformers") else module


def component_class(name: str, *, where: Path) -> Any:
    """Find a part's class. Raises :class:`ModelError` for one that is neither diffusers', transformers' nor ours."""
    if name == "PatchAutoencoder":
        from nextgpt.model.synthesis.patch_autoencoder import PatchAutoencoder

        return PatchAutoencoder
    import diffusers
    import transformers

    for library in (diffusers, transformers):
        found = getattr(library, name, None)
        if isinstance(found, type) and issubclass(found, torch.nn.Module):
            return found
    raise ModelError(
        f"{where / INDEX_FILE} names the class {name!r}; expected a model of diffusers or transformers. "
        "Update diffusers."
    )


def scheduler_class(name: str, *, where: Path) -> Any:
    """Find a scheduler's class. Raises :class:`ModelError` for one that diffusers has not."""
    import diffusers

    found = getattr(diffusers, name, None)
    if not (isinstance(found, type) and issubclass(found, diffusers.SchedulerMixin)):
        raise ModelError(
            f"{where} asks for the scheduler {name!r}; expected one of diffusers, such as DPMSolverMultistepScheduler. "
            "Correct the name, or update diffusers."
        )
    return found


def load_component(
    folder: Path, name: str, class_name: str, *, dtype: torch.dtype, device: str | torch.device
) -> Any:
    """Read one part with weights, whole or not at all.

    Raises:
        ModelError: The part's folder, its config or its safetensors files are missing.
        WeightsError: A file is damaged, or its tensors are not those of the config; each is named.
    """
    from transformers import PreTrainedModel

    home = folder / name
    read_json(home / "config.json")
    variant = _checked_variant(home)
    kind = component_class(class_name, where=folder)
    precision = {"dtype" if issubclass(kind, PreTrainedModel) else "torch_dtype": dtype}
    try:
        with _suppress_library_logs():
            part, report = kind.from_pretrained(
                home,
                variant=variant,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                **precision,
            )
    except (SafetensorError, OSError, ValueError, RuntimeError, KeyError) as error:
        raise WeightsError(
            f"The weights in {home} cannot be read ({error}); expected those of its config.json. Fetch the model again."
        ) from error
    faults = {
        kind: report[kind] for kind in ("missing_keys", "mismatched_keys", "error_msgs") if report.get(kind)
    }
    if faults:
        listed = "; ".join(f"{kind}: {', '.join(map(str, keys))}" for kind, keys in faults.items())
        raise WeightsError(
            f"The weights in {home} do not fit its config.json ({listed}). Take both from the same model."
        )
    if report["unexpected_keys"]:
        # Published folders carry buffers of older versions; they are harmless, but never hidden.
        logging.getLogger(__name__).warning(
            "%s has tensors that are not used: %s", home, report["unexpected_keys"]
        )
    return part.to(device).eval().requires_grad_(False)


def read_tensor(home: Path, key: str) -> Tensor:
    """Read one tensor of a part's weights. Raises :class:`WeightsError` where no file has it."""
    for path in sorted(home.glob("*.safetensors")):
        check_weights_file(path)
        with safe_open(path, framework="pt") as tensors:
            if key in tensors.keys():
                return tensors.get_tensor(key)
    raise WeightsError(f"The weights in {home} have no {key}; expected it there. Fetch the model again.")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raises :class:`ModelError`."""
    if not path.is_file():
        raise ModelError(
            f"{path} is missing; expected a diffusers folder. Check the name, or fetch the model again."
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelError(
            f"{path} is no JSON ({error}); expected a JSON object. Fetch the model again."
        ) from None
    if not isinstance(content, dict):
        raise ModelError(
            f"{path} holds a JSON {type(content).__name__}; expected an object. Fetch the model again."
        )
    return content


def check_weights_file(path: Path) -> None:
    """Raise :class:`WeightsError` for a safetensors file that is cut off or otherwise no such file."""
    try:
        with safe_open(path, framework="pt"):
            pass
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path} is damaged ({error}); expected a whole safetensors file. Fetch the model again."
        ) from error


def _checked_variant(home: Path) -> str | None:
    """Check every weights file of a part; say which variant to read where there is no plain one."""
    files = sorted(home.glob("*.safetensors"))
    if not files:
        others = ", ".join(path.name for path in sorted(home.glob("*.bin"))) or "no weights"
        raise ModelError(
            f"{home} has {others}; expected safetensors. Convert pickles with 'nextgpt convert'."
        )
    for path in files:
        check_weights_file(path)
    return "fp16" if all(".fp16" in path.name for path in files) else None


@contextmanager
def _suppress_library_logs() -> Iterator[None]:
    """Silence what the libraries log while loading; what matters is raised or logged by us."""
    import diffusers
    import transformers

    libraries = (diffusers.utils.logging, transformers.utils.logging)
    levels = [library.get_verbosity() for library in libraries]
    for library in libraries:
        library.set_verbosity_error()
    try:
        yield
    finally:
        for library, level in zip(libraries, levels, strict=True):
            library.set_verbosity(level)
