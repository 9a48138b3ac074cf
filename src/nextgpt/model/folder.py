"""A whole model on disk: ``config.json``, ``nextgpt.safetensors``, and a folder for each part that it carries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from nextgpt.config import ModelConfig, read_config, write_config
from nextgpt.errors import ConfigError, ModelError, unknown
from nextgpt.model.description import PartDescription, describe, sizes_of
from nextgpt.model.encoding import Encoder, load_encoder
from nextgpt.model.llm.folder import load_language_model
from nextgpt.model.llm.language_model import LanguageModel
from nextgpt.model.nextgpt import NextGPT
from nextgpt.model.parts import Part, Turns, fetch, part_from
from nextgpt.model.plan import (
    BYTES,
    QUANTISED,
    SPREAD,
    TRAINED,
    PartPlan,
    Plan,
    fast_types,
    fitting_plan,
    parse_size,
    uniform_plan,
)
from nextgpt.model.quirks import QUIRKS
from nextgpt.model.synthesis.base import Synthesizer
from nextgpt.model.weights import WEIGHTS_FILE, load_trained, save_trained
from nextgpt.presets import PRESETS, installed

Dtype = torch.dtype | str
"""One of torch, or ``int8`` or ``int4`` for the LLM."""
EMBEDDED = {"nano": Path(__file__).parents[1] / "weights" / "nano"}
"""Models that come with the package."""


def load_model(
    name: str | Path,
    *,
    device: str | Mapping[str, str] = "cpu",
    dtype: Dtype | Mapping[str, Dtype] | None = None,
    max_memory: str | int | None = None,
    takes_turns: bool = True,
) -> NextGPT:
    """Load a model, ready to answer; see :meth:`.nextgpt.NextGPT.from_pretrained`."""
    folder = locate(name)
    config = read_config(folder)
    rows = describe(config, folder) if max_memory is not None else ()
    plan = plan_of(
        rows, names=config.sources, device=device, dtype=dtype, max_memory=max_memory, takes_turns=takes_turns
    )
    model = build_model(config, folder, plan)
    load_trained(model, folder / WEIGHTS_FILE)
    return model


def plan_of(
    rows: Iterable[PartDescription],
    *,
    names: Iterable[str] | None = None,
    device: str | Mapping[str, str] = "cpu",
    dtype: Dtype | Mapping[str, Dtype] | None = None,
    max_memory: str | int | None = None,
    takes_turns: bool = True,
) -> Plan:
    """How a model is to be kept in memory: as said, or the best within a budget.

    Args:
        rows: What the model is made of; needed for a budget, and to tell what parts weigh.
        names: Of its parts, where there are no rows.

    Raises:
        ConfigError: Settings that do not go together.
        ModelError: It does not fit the budget.
    """
    sizes = sizes_of(rows)
    parts = [name for name in sizes if name != TRAINED] if names is None else names
    if dtype is None:
        dtype = fast_types(parts) if device == "cpu" and max_memory is None else torch.float32
    widest = _names(dtype)
    if max_memory is None:
        return uniform_plan(parts, device=device, dtype=widest).weighed(sizes)
    if not isinstance(device, str) or not isinstance(widest, str) or device in SPREAD or widest in QUANTISED:
        raise ConfigError(
            "A budget of memory came with types or places of single parts, or a quantised type; expected one device "
            "and the widest type, as the budget chooses the rest. Give one or the other."
        )
    if widest not in BYTES:
        raise ConfigError(unknown("type", widest, BYTES))
    has_library = find_spec("bitsandbytes") is not None
    return fitting_plan(
        sizes,
        parse_size(max_memory),
        device=device,
        dtype=widest,
        can_quantise=has_library,
        takes_turns=takes_turns,
    )


def build_model(config: ModelConfig, folder: Path, plan: Plan | None = None) -> NextGPT:
    """Join frozen parts; what is to be trained is fresh. Paths in ``config`` are relative to ``folder``.

    Without a plan everything is float32 on the CPU, as for training.
    """
    plan = plan or uniform_plan(config.sources)
    model = NextGPT(config, open_parts(config, folder, plan))
    trained = plan.parts[TRAINED]
    for module in (model.input_projection, model.output_projections, model.llm.signals):
        module.to(device=trained.device, dtype=getattr(torch, trained.dtype))
    return model.eval()


def open_parts(config: ModelConfig, folder: Path, plan: Plan) -> dict[str, Part]:
    """The frozen parts by name, each loaded when first needed, as the plan says."""
    quirks = QUIRKS.get(config.quirks or "")

    def encoder(source: Path, place: PartPlan) -> Encoder:
        return load_encoder(
            source, dtype=getattr(torch, place.dtype), device=place.device, has_lengths=quirks is not None
        )

    def llm(source: Path, place: PartPlan) -> LanguageModel:
        return load_language_model(
            source,
            template=quirks.template if quirks else config.llm.template,
            soft_tokens=config.input_projection.soft_tokens,
            context_length=config.llm.context_length,
            dtype=place.dtype,
            device=place.device,
        )

    def synthesizer(source: Path, place: PartPlan, modality: str) -> Synthesizer:
        from nextgpt.model.synthesis import load_synthesizer  # diffusers takes seconds to import

        return load_synthesizer(source, modality, device=place.device, dtype=getattr(torch, place.dtype))

    loaders = {"encoder": encoder, "llm": llm}
    loaders |= {modality: partial(synthesizer, modality=modality) for modality in config.synthesizers}
    turns = Turns()
    parts: dict[str, Part] = {}
    for name, source in config.sources.items():
        place = plan.parts[name]
        parts[name] = part_from(
            source, folder, partial(loaders[name], place=place), **_turns(name, place, turns)
        )
    return parts


def _turns(name: str, place: PartPlan, turns: Turns) -> dict[str, Any]:
    """What a part's rest asks of :class:`Part`. The LLM keeps what is trained in it, and lets its weights alone go."""
    if place.rest == "stays":
        return {}
    if place.rest == "cpu":
        return {
            "turns": turns,
            "leave": lambda part: part.to("cpu"),
            "come_back": lambda part: part.to(place.device),
        }
    if name == "llm":
        return {"turns": turns, "leave": LanguageModel.rest, "come_back": LanguageModel.wake}
    return {"turns": turns}


def _names(dtype: Dtype | Mapping[str, Dtype]) -> str | dict[str, str]:
    """Types by their names: those of torch, ``int8`` and ``int4``."""
    if isinstance(dtype, Mapping):
        return {name: str(value).removeprefix("torch.") for name, value in dtype.items()}
    return str(dtype).removeprefix("torch.")


def save_model(model: NextGPT, folder: Path, *, dtype: torch.dtype | None = None) -> None:
    """Write a whole model folder; see :meth:`.nextgpt.NextGPT.save_pretrained`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in model.config.carried:
        model.parts[name].save(folder / name)
    write_config(model.config.in_own_folder(), folder)
    save_trained(model, folder / WEIGHTS_FILE, dtype=dtype)


def locate(name: str | Path) -> Path:
    """The folder of a model: an embedded one, a preset's, a folder of that name, or the local copy of a Hub repository.

    Raises:
        ModelError: It is none of them; names what is known. For a preset without weights, says which files to get.
    """
    embedded = EMBEDDED.get(str(name))
    if embedded is not None:
        return embedded
    if str(name) in PRESETS:
        return installed(str(name))
    folder = Path(name)
    if folder.is_dir():
        return folder
    if isinstance(name, str) and name.count("/") == 1 and not name.startswith((".", "/", "~")):
        return fetch(name)
    raise ModelError(
        unknown("model", str(name), [*EMBEDDED, *PRESETS])
        + " A model folder or a Hub id (owner/name) serves as well."
    )
