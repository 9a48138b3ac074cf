"""Whole models that are complete and tiny."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from nextgpt.config import (
    ComponentSource,
    GroupingConfig,
    InputProjectionConfig,
    LanguageModelConfig,
    ModelConfig,
    OutputProjectionConfig,
    SynthesizerConfig,
)
from nextgpt.modality import MODALITIES
from nextgpt.model.components import Component
from nextgpt.model.encoding import AudioTower, EncoderConfig, ImageBind, VisionTower, save_encoder
from nextgpt.model.llm.loading import save_language_model
from nextgpt.model.nextgpt import NextGPT
from nextgpt.model.synthesis.spec import read_spec
from nextgpt.testing.encoders import write_tiny_siglip_clap
from nextgpt.testing.fakes import FakeEncoder, FakeSynthesizer
from nextgpt.testing.language_model import tiny_language_model
from nextgpt.testing.synthesizers import write_tiny_nano

ENCODER_WIDTH, QUERIES, CONDITION_WIDTH = 16, 6, 16


def tiny_model(*, seed: int = 0) -> NextGPT:
    """Create a complete model with tiny random components, all four modalities in and out; replies in about 1 s."""
    home = tempfile.TemporaryDirectory()
    model = NextGPT.from_pretrained(write_tiny_model(home.name, seed=seed))
    weakref.finalize(model, home.cleanup)
    return model


def write_tiny_model(folder: str | Path, *, seed: int = 0) -> Path:
    """Write the folder of :func:`tiny_model`: every file that a model has, a few hundred kilobytes."""
    folder = Path(folder)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        save_encoder(_tiny_encoder(), folder / "encoder")
        for modality in MODALITIES:
            write_tiny_nano(folder / modality, modality, queries=QUERIES, condition_width=CONDITION_WIDTH, seed=seed)
        return _finish(folder, _config(soft_tokens=2), seed)


def write_tiny_model_of(
    folder: str | Path, write: Mapping[str, Callable[[Path], Path]], *, is_open: bool = False, seed: int = 0
) -> Path:
    """Write a whole model whose synthesizers are of any family: ``{"image": write_tiny_z_image, ...}``.

    With ``is_open`` its encoder is SigLIP and CLAP, every patch of them, grouped to soft tokens.
    """
    folder = Path(folder)
    shapes = {modality: read_spec(write[modality](folder / modality)).condition_shape for modality in write}
    config = _config(soft_tokens=2, shapes=shapes)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if is_open:
            write_tiny_siglip_clap(folder / "encoder", features="patches", seed=seed)
            grouping = GroupingConfig(width=16, heads=2, blocks=(1, 1, 1), groups=(4,))
            projection = InputProjectionConfig(
                kind="grouping", encoder_width=32, soft_tokens=2, shared=False, grouping=grouping
            )
            config = config.model_copy(update={"input_projection": projection})
        else:
            save_encoder(_tiny_encoder(), folder / "encoder")
        return _finish(folder, config, seed)


def _finish(folder: Path, config: ModelConfig, seed: int) -> Path:
    """Add an LLM, and everything that is trained, fresh."""
    save_language_model(tiny_language_model(seed=seed), folder / "llm")
    NextGPT.from_config(config, folder).save_pretrained(folder)
    return folder


def fake_model(*, soft_tokens: int = 2, seed: int = 0) -> NextGPT:
    """Create a model with a tiny random LLM, a fake encoder and fake synthesizers that record their calls.

    It needs no disk and cannot be saved.
    """
    llm = tiny_language_model(soft_tokens=soft_tokens, seed=seed)
    parts = {"encoder": FakeEncoder(ENCODER_WIDTH), "llm": llm, **{name: FakeSynthesizer(name) for name in MODALITIES}}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return NextGPT(_config(soft_tokens), {name: _unsaved(part) for name, part in parts.items()}).eval()


def _config(soft_tokens: int, shapes: Mapping[str, tuple[int, int]] | None = None) -> ModelConfig:
    shapes = shapes or dict.fromkeys(MODALITIES, (QUERIES, CONDITION_WIDTH))

    def projection(queries: int, condition_width: int) -> OutputProjectionConfig:
        return OutputProjectionConfig(
            queries=queries, condition_width=condition_width, width=16, layers=1, heads=2, feedforward_width=32
        )

    return ModelConfig(
        name="tiny",
        encoder=ComponentSource(path="encoder"),
        llm=LanguageModelConfig(source=ComponentSource(path="llm"), template="nano"),
        input_projection=InputProjectionConfig(encoder_width=ENCODER_WIDTH, soft_tokens=soft_tokens),
        synthesizers={
            name: SynthesizerConfig(source=ComponentSource(path=name), output_projection=projection(*shape))
            for name, shape in shapes.items()
        },
    )


def _tiny_encoder() -> ImageBind:
    vision = VisionTower(width=16, blocks=1, heads=2, size_px=16, patch_px=8, clips=1, crops=1)
    audio = AudioTower(width=16, blocks=1, heads=2, mel_bins=16, clips=1)
    return ImageBind(EncoderConfig(width=ENCODER_WIDTH, vision=vision, audio=audio, text=None)).eval()


def _unsaved(part: object) -> Component:
    def save(folder: Path) -> None:
        raise NotImplementedError("fakes are not saved; use tiny_model()")

    return Component(lambda: part, save)
