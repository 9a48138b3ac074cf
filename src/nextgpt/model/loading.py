"""A whole model on disk: ``config.json``, ``nextgpt.safetensors``, and a folder for each part that it carries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from nextgpt.config import ModelConfig, read_config, write_config
from nextgpt.errors import ConfigError, ModelError, unknown_name_message
from nextgpt.model.components import Component, OffloadGroup, component_from_dir
from nextgpt.model.encoding import Encoder, load_encoder
from nextgpt.model.hub import download_snapshot
from nextgpt.model.llm.language_model import LanguageModel
from nextgpt.model.llm.loading import load_language_model
from nextgpt.model.memory_plan import (
    AUTO_DEVICE_MAPS,
    BYTES_PER_WEIGHT,
    QUANTIZED_DTYPES,
    TRAINED,
    ComponentPlacement,
    MemoryPlan,
    default_plan,
    fastest_dtypes,
    parse_size,
    plan_within_budget,
)
from nextgpt.model.nextgpt import NextGPT
from nextgpt.model.quirks import QUIRKS
from nextgpt.model.summary import ComponentSummary, component_sizes, summarize_model
from nextgpt.model.synthesis.base import Synthesizer
from nextgpt.model.trained_weights import WEIGHTS_FILE, load_trained, save_trained
from nextgpt.presets import PRESETS, installed_preset_dir

Dtype = torch.dtype | str
"""One of torch, or ``int8`` or ``int4`` for the LLM."""
BUILTIN_MODELS = {"nano": Path(__file__).parents[1] / "weights" / "nano"}
"""Models that come with the package."""


def load_model(
    name: str | Path,
    *,
    device: str | Mapping[str, str] = "cpu",
    dtype: Dtype | Mapping[str, Dtype] | None = None,
    max_memory: str | int | None = None,
    allow_offload: bool = True,
) -> NextGPT:
    """Load a model, ready to answer; see :meth:`.nextgpt.NextGPT.from_pretrained`."""
    folder = resolve_model_dir(name)
    config = read_config(folder)
    rows = summarize_model(config, folder) if max_memory is not None else ()
    plan = make_memory_plan(
        rows,
        names=config.component_sources,
        device=device,
        dtype=dtype,
        max_memory=max_memory,
        allow_offload=allow_offload,
    )
    model = build_model(config, folder, plan)
    load_trained(model, folder / WEIGHTS_FILE)
    return model


def make_memory_plan(
    components: Iterable[ComponentSummary],
    *,
    names: Iterable[str] | None = None,
    device: str | Mapping[str, str] = "cpu",
    dtype: Dtype | Mapping[str, Dtype] | None = None,
    max_memory: str | int | None = None,
    allow_offload: bool = True,
) -> MemoryPlan:
    """How a model is to be kept in memory: as said, or the best within a budget.

    Args:
        rows: What the model is made of; needed for a budget, and to tell what parts weigh.
        names: Of its parts, where there are no rows.

    Raises:
        ConfigError: Settings that do not go together.
        ModelError: It does not fit the budget.
    """
    sizes = component_sizes(components)
    parts = [name for name in sizes if name != TRAINED] if names is None else names
    if dtype is None:
        dtype = fastest_dtypes(parts) if device == "cpu" and max_memory is None else torch.float32
    widest = _dtype_names(dtype)
    if max_memory is None:
        return default_plan(parts, device=device, dtype=widest).with_sizes(sizes)
    if (
        not isinstance(device, str)
        or not isinstance(widest, str)
        or device in AUTO_DEVICE_MAPS
        or widest in QUANTIZED_DTYPES
    ):
        raise ConfigError(
            "A budget of memory came with types or places of single parts, or a quantised type; expected one device "
            "and the widest type, as the budget chooses the rest. Give one or the other."
        )
    if widest not in BYTES_PER_WEIGHT:
        raise ConfigError(unknown_name_message("type", widest, BYTES_PER_WEIGHT))
    has_library = find_spec("bitsandbytes") is not None
    return plan_within_budget(
        sizes,
        parse_size(max_memory),
        device=device,
        dtype=widest,
        can_quantize=has_library,
        allow_offload=allow_offload,
    )


def build_model(config: ModelConfig, model_dir: Path, plan: MemoryPlan | None = None) -> NextGPT:
    """Join frozen parts; what is to be trained is fresh. Paths in ``config`` are relative to ``folder``.

    Without a plan everything is float32 on the CPU, as for training.
    """
    plan = plan or default_plan(config.component_sources)
    model = NextGPT(config, lazy_components(config, model_dir, plan))
    trained = plan.placements[TRAINED]
    for module in (model.input_projection, model.output_projections, model.llm.signals):
        module.to(device=trained.device, dtype=getattr(torch, trained.dtype))
    return model.eval()


def lazy_components(config: ModelConfig, model_dir: Path, plan: MemoryPlan) -> dict[str, Component]:
    """The frozen parts by name, each loaded when first needed, as the plan says."""
    quirks = QUIRKS.get(config.quirks or "")

    def encoder(source: Path, place: ComponentPlacement) -> Encoder:
        return load_encoder(
            source,
            dtype=getattr(torch, place.dtype),
            device=place.device,
            keep_feature_norms=quirks is not None,
        )

    def llm(source: Path, place: ComponentPlacement) -> LanguageModel:
        return load_language_model(
            source,
            template=quirks.template if quirks else config.llm.template,
            soft_tokens=config.input_projection.soft_tokens,
            context_length=config.llm.context_length,
            dtype=place.dtype,
            device=place.device,
        )

    def synthesizer(source: Path, place: ComponentPlacement, modality: str) -> Synthesizer:
        from nextgpt.model.synthesis import load_synthesizer  # diffusers takes seconds to import

        return load_synthesizer(source, modality, device=place.device, dtype=getattr(torch, place.dtype))

    loaders = {"encoder": encoder, "llm": llm}
    loaders |= {modality: partial(synthesizer, modality=modality) for modality in config.synthesizers}
    group = OffloadGroup()
    parts: dict[str, Component] = {}
    for name, source in config.component_sources.items():
        place = plan.placements[name]
        parts[name] = component_from_dir(
            source, model_dir, partial(loaders[name], place=place), **_offload_options(name, place, group)
        )
    return parts


def _offload_options(name: str, place: ComponentPlacement, group: OffloadGroup) -> dict[str, Any]:
    """What a part's rest asks of :class:`Part`. The LLM keeps what is trained in it, and lets its weights alone go."""
    if place.offload_to == "stays":
        return {}
    if place.offload_to == "cpu":
        return {
            "group": group,
            "offload": lambda part: part.to("cpu"),
            "onload": lambda part: part.to(place.device),
        }
    if name == "llm":
        return {
            "group": group,
            "offload": LanguageModel.unload_weights,
            "onload": LanguageModel.reload_weights,
        }
    return {"group": group}


def _dtype_names(dtype: Dtype | Mapping[str, Dtype]) -> str | dict[str, str]:
    """Types by their names: those of torch, ``int8`` and ``int4``."""
    if isinstance(dtype, Mapping):
        return {name: str(value).removeprefix("torch.") for name, value in dtype.items()}
    return str(dtype).removeprefix("torch.")


def save_model(model: NextGPT, model_dir: Path, *, dtype: torch.dtype | None = None) -> None:
    """Write a whole model folder; see :meth:`.nextgpt.NextGPT.save_pretrained`."""
    model_dir.mkdir(parents=True, exist_ok=True)
    for name in model.config.bundled_components:
        model.components[name].save(model_dir / name)
    write_config(model.config.with_bundled_paths(), model_dir)
    save_trained(model, model_dir / WEIGHTS_FILE, dtype=dtype)


def resolve_model_dir(name: str | Path) -> Path:
    """The folder of a model: an embedded one, a preset's, a folder of that name, or the local copy of a Hub repository.

    Raises:
        ModelError: It is none of them; names what is known. For a preset without weights, says which files to get.
    """
    embedded = BUILTIN_MODELS.get(str(name))
    if embedded is not None:
        return embedded
    if str(name) in PRESETS:
        return installed_preset_dir(str(name))
    folder = Path(name)
    if folder.is_dir():
        return folder
    if isinstance(name, str) and name.count("/") == 1 and not name.startswith((".", "/", "~")):
        return download_snapshot(name)
    raise ModelError(
        unknown_name_message("model", str(name), [*BUILTIN_MODELS, *PRESETS])
        + " A model folder or a Hub id (owner/name) serves as well."
    )
