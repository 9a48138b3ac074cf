"""A whole model on disk: ``config.json``, ``nextgpt.safetensors``, and a folder for each part that it carries."""

from __future__ import annotations

from pathlib import Path

import torch

from nextgpt.config import ModelConfig, read_config, write_config
from nextgpt.errors import ModelError, unknown
from nextgpt.model.encoding import Encoder, load_encoder
from nextgpt.model.llm.folder import load_language_model
from nextgpt.model.llm.language_model import LanguageModel
from nextgpt.model.nextgpt import NextGPT
from nextgpt.model.parts import Part, fetch, part_from
from nextgpt.model.quirks import QUIRKS
from nextgpt.model.synthesis.base import Synthesizer
from nextgpt.model.weights import WEIGHTS_FILE, load_trained, save_trained
from nextgpt.presets import PRESETS, installed

EMBEDDED = {"nano": Path(__file__).parents[1] / "weights" / "nano"}
"""Models that come with the package."""


def load_model(name: str | Path, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> NextGPT:
    """Load a model, ready to answer; see :meth:`.nextgpt.NextGPT.from_pretrained`."""
    folder = locate(name)
    model = build_model(read_config(folder), folder, device=device, dtype=dtype)
    load_trained(model, folder / WEIGHTS_FILE)
    return model


def build_model(
    config: ModelConfig, folder: Path, *, device: str = "cpu", dtype: torch.dtype = torch.float32
) -> NextGPT:
    """Join frozen parts; what is to be trained is fresh. Paths in ``config`` are relative to ``folder``."""
    parts = open_parts(config, folder, device=device, dtype=dtype)
    return NextGPT(config, parts).to(device=device, dtype=dtype).eval()


def open_parts(
    config: ModelConfig, folder: Path, *, device: str = "cpu", dtype: torch.dtype = torch.float32
) -> dict[str, Part]:
    """The frozen parts by name, each loaded when first needed."""
    quirks = QUIRKS.get(config.quirks or "")

    def encoder(source: Path) -> Encoder:
        return load_encoder(source, dtype=dtype, has_lengths=quirks is not None).to(device)

    def llm(source: Path) -> LanguageModel:
        return load_language_model(
            source,
            template=quirks.template if quirks else config.llm.template,
            soft_tokens=config.input_projection.soft_tokens,
            context_length=config.llm.context_length,
            dtype=dtype,
        )

    def synthesizer(source: Path, modality: str) -> Synthesizer:
        from nextgpt.model.synthesis import load_synthesizer  # diffusers takes seconds to import

        return load_synthesizer(source, modality, device=device, dtype=dtype)

    parts: dict[str, Part] = {
        "encoder": part_from(config.encoder, folder, encoder),
        "llm": part_from(config.llm.source, folder, llm),
    }
    for modality, row in config.synthesizers.items():
        parts[modality] = part_from(
            row.source, folder, lambda source, name=modality: synthesizer(source, name)
        )
    return parts


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
        unknown("model", str(name), [*EMBEDDED, *PRESETS]) + " A model folder or a Hub id (owner/name) serves as well."
    )
