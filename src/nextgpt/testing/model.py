"""Whole models that are complete and tiny."""

from __future__ import annotations

import torch

from nextgpt.config import (
    InputProjectionConfig,
    LanguageModelConfig,
    LoraConfig,
    ModelConfig,
    OutputProjectionConfig,
    PartSource,
    SynthesizerConfig,
)
from nextgpt.modality import MODALITIES
from nextgpt.model.llm.folder import save_language_model
from nextgpt.model.nextgpt import NextGPT
from nextgpt.model.parts import Part
from nextgpt.testing.fakes import FakeEncoder, FakeSynthesizer
from nextgpt.testing.language_model import tiny_language_model


def fake_model(*, soft_tokens: int = 2, seed: int = 0) -> NextGPT:
    """A model with a tiny random LLM, whose encoder and synthesizers are fakes. It cannot be saved."""
    synthesizers = {name: FakeSynthesizer(name) for name in MODALITIES}
    parts = {"encoder": _in_memory(FakeEncoder()), **{name: _in_memory(fake) for name, fake in synthesizers.items()}}
    return _join(parts, encoder_width=16, condition_shape=(6, 8), soft_tokens=soft_tokens, seed=seed)


def _join(
    parts: dict[str, Part], *, encoder_width: int, condition_shape: tuple[int, int], soft_tokens: int, seed: int
) -> NextGPT:
    llm = tiny_language_model(soft_tokens=soft_tokens, seed=seed)
    queries, width = condition_shape
    projection = OutputProjectionConfig(
        queries=queries, condition_width=width, width=16, layers=1, heads=2, feedforward_width=32
    )
    config = ModelConfig(
        name="tiny",
        encoder=PartSource(path="encoder"),
        llm=LanguageModelConfig(
            source=PartSource(path="llm"),
            template="nano",
            context_length=llm.context_length,
            lora=LoraConfig(rank=2, alpha=4),
        ),
        input_projection=InputProjectionConfig(encoder_width=encoder_width, soft_tokens=soft_tokens),
        synthesizers={
            name: SynthesizerConfig(source=PartSource(path=name), output_projection=projection) for name in MODALITIES
        },
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return NextGPT(config, {**parts, "llm": Part(lambda: llm, lambda folder: save_language_model(llm, folder))}).eval()


def _in_memory(part: object) -> Part:
    def save(folder: object) -> None:
        raise NotImplementedError("fakes cannot be saved; use tiny_model()")

    return Part(lambda: part, save)
