"""Read and write diffusers folders.

Only known classes are loaded, only from safetensors, and missing tensors are errors.
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
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from nextgpt.config import parse_config
from nextgpt.errors import ModelError, WeightsError
from nextgpt.model.memory_errors import raise_if_out_of_memory
from nextgpt.model.safetensors_io import open_safetensors, read_safetensors
from nextgpt.model.synthesis.native_components import load_native_component
from nextgpt.model.synthesis.settings import SynthesisSettings

INDEX_FILE = "model_index.json"
SETTINGS_FILE = "nextgpt.json"
NEGATIVE_FILE = "negative_condition.safetensors"
NEGATIVE_KEY = "negative_condition"

ModelIndex = dict[str, str]
"""Class names by component."""


@runtime_checkable
class SavePretrained(Protocol):
    """Common interface of models, tokenizers and schedulers of diffusers and transformers."""

    def save_pretrained(self, save_directory: str | Path) -> Any:
        """Write files."""
        ...


def read_index(folder: Path) -> ModelIndex:
    """Read the components of a folder from its index. Raises :class:`ModelError`."""
    if not folder.is_dir():
        raise ModelError(
            f"{folder} is missing; expected a diffusers folder. Check the name, or download the model again."
        )
    entries = read_json(folder / INDEX_FILE)
    # Entries with an underscore are metadata of diffusers; [null, null] is an omitted component.
    return {
        name: value[1]
        for name, value in entries.items()
        if isinstance(value, list) and len(value) == 2 and value[1] is not None
    }


def read_settings(folder: Path) -> SynthesisSettings:
    """Read ``nextgpt.json``; empty settings if it is missing. Raises :class:`ConfigError` for invalid settings."""
    path = folder / SETTINGS_FILE
    if not path.is_file():
        return SynthesisSettings()
    return parse_config(SynthesisSettings, read_json(path), where=str(path))


def read_negative_condition(folder: Path) -> Float[Tensor, "Q C"] | None:
    """Read the condition of the empty caption, if there is one. Raises :class:`WeightsError` if it is damaged."""
    path = folder / NEGATIVE_FILE
    if not path.is_file():
        return None
    tensors = read_safetensors(path)
    if NEGATIVE_KEY not in tensors or tensors[NEGATIVE_KEY].ndim != 2:
        content = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in tensors.items())
        raise WeightsError(
            f"{path} has {content}; expected {NEGATIVE_KEY} (Q, C). Write it with add_negative_condition."
        )
    return tensors[NEGATIVE_KEY].float()


def write_negative_condition(folder: str | Path, condition: Float[Tensor, "Q C"]) -> None:
    """Write the condition of the empty caption, so that guidance needs no text encoder."""
    save_file({NEGATIVE_KEY: condition.detach().cpu().contiguous()}, Path(folder) / NEGATIVE_FILE)


def write_pipeline_dir(
    folder: str | Path,
    components: Mapping[str, SavePretrained] = {},
    *,
    pipeline: str = "DiffusionPipeline",
    settings: SynthesisSettings | None = None,
    negative_condition: Float[Tensor, "Q C"] | None = None,
) -> None:
    """Write components into a diffusers folder; components that are already in it stay.

    Args:
        components: Components by name on disk: ``transformer`` or ``unet``, ``vae``, ``scheduler``, ``vocoder``,
            ``text_encoder``, ``tokenizer``.
        pipeline: Class of the stock pipeline for the folder.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / INDEX_FILE
    index = read_json(path) if path.is_file() else {}
    index["_class_name"] = pipeline
    for name, component in components.items():
        component.save_pretrained(folder / name)
        _strip_name_or_path(folder / name / "config.json")
        index[name] = [_library(component), type(component).__name__]
    path.write_text(json.dumps(index, indent=2) + "\n")
    if settings is not None:
        (folder / SETTINGS_FILE).write_text(settings.model_dump_json(indent=2, exclude_unset=True) + "\n")
    if negative_condition is not None:
        write_negative_condition(folder, negative_condition)


def _strip_name_or_path(path: Path) -> None:
    """Remove the source path that diffusers records."""
    if path.is_file():
        settings = read_json(path)
        if settings.pop("_name_or_path", None) is not None:
            path.write_text(json.dumps(settings, indent=2) + "\n")


def _library(component: object) -> str:
    """Return the library in diffusers' notation: ``diffusers``, ``transformers``, or the module."""
    module = type(component).__module__
    top = module.partition(".")[0]
    return top if top in ("diffusers", "transformers") else module


def component_class(name: str, *, where: Path) -> Any:
    """Return a model class of diffusers, transformers or this package. Raises :class:`ModelError` for others."""
    if name == "PatchAutoencoder":
        from nextgpt.model.synthesis.patch_autoencoder import PatchAutoencoder

        return PatchAutoencoder
    import diffusers
    import transformers

    for library in (diffusers, transformers):
        cls = getattr(library, name, None)
        if isinstance(cls, type) and issubclass(cls, torch.nn.Module):
            return cls
    raise ModelError(
        f"{where / INDEX_FILE} names the class {name!r}; expected a model of diffusers or transformers. "
        "Update diffusers."
    )


def scheduler_class(name: str, *, where: Path) -> Any:
    """Return a scheduler class of diffusers. Raises :class:`ModelError` for others."""
    import diffusers

    cls = getattr(diffusers, name, None)
    if not (isinstance(cls, type) and issubclass(cls, diffusers.SchedulerMixin)):
        raise ModelError(
            f"{where} names the scheduler {name!r}; expected one of diffusers, such as DPMSolverMultistepScheduler. "
            "Correct the name, or update diffusers."
        )
    return cls


def load_component(
    folder: Path,
    name: str,
    class_name: str,
    *,
    dtype: torch.dtype,
    device: str | torch.device,
    allow_native: bool = True,
) -> Any:
    """Load one component with its weights.

    Args:
        allow_native: Use the implementation of this package if there is one; see :mod:`.native_components`.

    Raises:
        ModelError: Its folder, config or safetensors files are missing.
        WeightsError: A file is damaged, or its tensors do not fit the config; all mismatches are listed.
    """
    component_dir = folder / name
    config = read_json(component_dir / "config.json")
    variant = _checked_variant(component_dir)
    try:
        native = load_native_component(component_dir, class_name, config, dtype=dtype) if allow_native else None
    except (MemoryError, RuntimeError) as error:
        raise_if_out_of_memory(error, component_dir)
        raise
    if native is None:
        native = _load_library_component(folder, name, class_name, dtype=dtype, variant=variant)
    return native.to(device).eval().requires_grad_(False)


def _load_library_component(
    folder: Path, name: str, class_name: str, *, dtype: torch.dtype, variant: str | None
) -> Any:
    """Load a component of diffusers or transformers."""
    from transformers import PreTrainedModel

    component_dir = folder / name
    cls = component_class(class_name, where=folder)
    dtype_option = {"dtype" if issubclass(cls, PreTrainedModel) else "torch_dtype": dtype}
    try:
        with _suppress_library_logs():
            component, report = cls.from_pretrained(
                component_dir,
                variant=variant,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                **dtype_option,
            )
    except (SafetensorError, OSError, ValueError, RuntimeError, KeyError, MemoryError) as error:
        raise_if_out_of_memory(error, component_dir)
        raise WeightsError(
            f"The weights in {component_dir} cannot be read ({error}); expected those of its config.json. "
            "Download the model again."
        ) from error
    mismatches = {kind: report[kind] for kind in ("missing_keys", "mismatched_keys", "error_msgs") if report.get(kind)}
    if mismatches:
        listed = "; ".join(f"{kind}: {', '.join(map(str, keys))}" for kind, keys in mismatches.items())
        raise WeightsError(
            f"The weights in {component_dir} do not fit its config.json ({listed}). Take both from the same model."
        )
    if report["unexpected_keys"]:
        # Published folders may have buffers of older versions; they are harmless, but logged.
        logging.getLogger(__name__).warning("%s has unused tensors: %s", component_dir, report["unexpected_keys"])
    return component


def read_tensor(folder: Path, key: str) -> Tensor:
    """Read one tensor of a component's weights. Raises :class:`WeightsError` if no file has it."""
    for path in sorted(folder.glob("*.safetensors")):
        with open_safetensors(path) as file:
            names = file.keys()
            if key in names:
                return file.get_tensor(key)
    raise WeightsError(f"The weights in {folder} have no {key}. Download the model again.")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raises :class:`ModelError`."""
    if not path.is_file():
        raise ModelError(
            f"{path} is missing; expected a diffusers folder. Check the name, or download the model again."
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelError(f"{path} is not JSON ({error}); expected a JSON object. Download the model again.") from None
    if not isinstance(content, dict):
        raise ModelError(f"{path} is a JSON {type(content).__name__}; expected an object. Download the model again.")
    return content


def _checked_variant(component_dir: Path) -> str | None:
    """Check all weights files of a component; return the variant to load if there is no plain one."""
    files = sorted(component_dir.glob("*.safetensors"))
    if not files:
        others = ", ".join(path.name for path in sorted(component_dir.glob("*.bin"))) or "no weights"
        raise ModelError(f"{component_dir} has {others}; expected safetensors. Convert pickles with 'nextgpt convert'.")
    for path in files:
        with open_safetensors(path):  # raises if the file is damaged
            pass
    return "fp16" if all(".fp16" in path.name for path in files) else None


@contextmanager
def _suppress_library_logs() -> Iterator[None]:
    """Suppress the libraries' logs during loading; relevant messages are raised or logged by us."""
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
