"""What a recipe would train and what would stay frozen, told before anything is trained.

Networks that would be made are built on the meta device, where they have shapes but no content, with a vocabulary as
large as it may become. An alignment is prepared as it really is, so what is told is what is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nextgpt.model.nextgpt import NextGPT
from nextgpt.train.parts import made_before
from nextgpt.train.recipe import (
    AlignmentRecipe,
    AutoencoderRecipe,
    CorporaRecipe,
    DiffusionRecipe,
    EncoderRecipe,
    LanguageModelRecipe,
    Recipe,
)


@dataclass(frozen=True)
class Share:
    """The parameters of one part."""

    part: str
    trained: int
    frozen: int

    @classmethod
    def of(cls, part: str, module: nn.Module) -> Share:
        """Count a module by which of its parameters need a gradient."""
        counts = {True: 0, False: 0}
        for parameter in module.parameters():
            counts[parameter.requires_grad] += parameter.numel()
        return cls(part, counts[True], counts[False])


def outline(recipe: Recipe) -> list[Share]:
    """Count what ``recipe`` trains, part by part, in the order in which data pass them.

    Raises:
        ModelError: a part that it builds on is not made yet.
    """
    return list(_OUTLINES[recipe.kind](recipe))


def _autoencoder(recipe: AutoencoderRecipe) -> Iterator[Share]:
    from nextgpt.model.synthesis.patch_autoencoder import PatchAutoencoder

    with torch.device("meta"):
        autoencoder = PatchAutoencoder(**recipe.architecture)
    yield Share.of("encoder", autoencoder.encoder)
    yield Share.of("decoder", autoencoder.decoder)


def _diffusion(recipe: DiffusionRecipe) -> Iterator[Share]:
    from nextgpt.model.synthesis.patch_autoencoder import PatchAutoencoder
    from nextgpt.train.pretrain.diffusion import create_denoiser, create_text_encoder

    with torch.device("meta"):
        text_encoder = create_text_encoder(recipe.text_encoder, recipe.caption_tokens, recipe.vocabulary)
        denoiser = create_denoiser(recipe.denoiser, recipe.caption_tokens, text_encoder)
    autoencoder = PatchAutoencoder.from_pretrained(made_before(recipe.model / recipe.modality / "vae"))
    yield Share.of("text_encoder", text_encoder)
    yield Share.of("transformer", denoiser)
    yield Share.of("vae", autoencoder.requires_grad_(False))


def _language_model(recipe: LanguageModelRecipe) -> Iterator[Share]:
    from transformers import LlamaConfig, LlamaForCausalLM

    with torch.device("meta"):
        yield Share.of(
            "llm", LlamaForCausalLM(LlamaConfig(vocab_size=recipe.vocabulary, **recipe.architecture))
        )


def _encoder(recipe: EncoderRecipe) -> Iterator[Share]:
    from nextgpt.model.encoding import ImageBind

    with torch.device("meta"):
        encoder = ImageBind(recipe.encoder)
    for tower in recipe.encoder.towers:
        parts = (encoder.modality_preprocessors, encoder.modality_trunks, encoder.modality_heads)
        pieces = [part[tower] for part in (*parts, encoder.modality_postprocessors)]
        yield Share.of(f"{tower} tower", nn.ModuleList(pieces))


def _alignment(recipe: AlignmentRecipe) -> Iterator[Share]:
    from nextgpt.train.align_miniworld import join

    yield from _aligned(join(recipe), recipe.model, recipe)


def _corpora(recipe: CorporaRecipe) -> Iterator[Share]:
    from nextgpt.model.loading import resolve_model_dir
    from nextgpt.train.align_corpora import begin

    yield from _aligned(begin(recipe), resolve_model_dir(recipe.initial), recipe)


def _aligned(model: NextGPT, folder: Path, recipe: AlignmentRecipe | CorporaRecipe) -> Iterator[Share]:
    from nextgpt.train.alignment import prepare
    from nextgpt.train.stage import STAGES

    frozen = _frozen(model, folder)
    prepare(model, STAGES[recipe.stage], recipe.lora)
    yield from _prepared(model, frozen)


def shares_of(model: NextGPT, folder: Path) -> list[Share]:
    """Count a model that is prepared for its stage; ``folder`` is that of the model it began with."""
    return list(_prepared(model, _frozen(model, folder)))


def _frozen(model: NextGPT, folder: Path) -> list[Share]:
    from nextgpt.model.summary import summarize_model

    return [
        Share(row.name, 0, row.parameters)
        for row in summarize_model(model.config, folder)
        if row.trainable == 0
    ]


def _prepared(model: NextGPT, frozen: Sequence[Share]) -> Iterator[Share]:
    yield from (share for share in frozen if share.part == "encoder")
    yield Share.of("input_projection", model.input_projection)
    yield Share.of("llm, with LoRA" if model.config.llm.lora else "llm", model.llm.transformer)
    yield Share.of("signal_tokens", model.llm.signals)
    for modality, projection in model.output_projections.items():
        yield Share.of(f"output_projection.{modality}", projection)
    yield from (share for share in frozen if share.part not in ("encoder", "llm"))


_OUTLINES: dict[str, Callable[[Any], Iterator[Share]]] = {
    "autoencoder": _autoencoder,
    "diffusion": _diffusion,
    "language_model": _language_model,
    "encoder": _encoder,
    "alignment": _alignment,
    "corpora": _corpora,
}
