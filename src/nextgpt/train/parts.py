"""What each kind of recipe makes, and where it lies in the model folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from nextgpt.train.recipe import (
    AlignmentRecipe,
    AutoencoderRecipe,
    DiffusionRecipe,
    EncoderRecipe,
    LanguageModelRecipe,
    Report,
)

TOKENIZER_TEXTS = 12_000
"""Captions that a synthesizer's tokenizer is trained on."""


@dataclass(frozen=True)
class PartKind:
    """One kind of recipe."""

    folder: Callable[[Any], str]
    """``recipe -> folder`` inside the model folder."""
    train: Callable[[Any, Report | None], None]


def _train_autoencoder(recipe: AutoencoderRecipe, report: Report | None) -> None:
    from nextgpt.train.pretrain.autoencoder import pretrain_autoencoder

    pretrain_autoencoder(
        recipe.modality,
        architecture=recipe.architecture,
        config=recipe.fit,
        folder=recipe.model / recipe.modality / "vae",
        work_folder=recipe.work,
        report=report,
    )


def _train_diffusion(recipe: DiffusionRecipe, report: Report | None) -> None:
    from nextgpt.miniworld.language import canonical_caption
    from nextgpt.model.synthesis.patch_autoencoder import PatchAutoencoder
    from nextgpt.train.pretrain.diffusion import DiffusionTrainer, pretrain_diffusion
    from nextgpt.train.pretrain.pixels import PIXELS
    from nextgpt.train.pretrain.tokenizer import train_tokenizer

    folder = recipe.model / recipe.modality
    draw, _ = PIXELS[recipe.modality]
    rng = np.random.default_rng(recipe.fit.seed)
    captions = [canonical_caption(draw(rng, "train")) for _ in range(TOKENIZER_TEXTS)]
    trainer = DiffusionTrainer(
        recipe.modality,
        autoencoder=PatchAutoencoder.from_pretrained(folder / "vae"),
        tokenizer=train_tokenizer(captions, recipe.vocabulary, for_captions=True),
        denoiser=recipe.denoiser,
        text_encoder=recipe.text_encoder,
        caption_tokens=recipe.caption_tokens,
    )
    pretrain_diffusion(
        trainer,
        recipe.fit,
        folder=folder,
        work_folder=recipe.work,
        initial=recipe.model / recipe.initial if recipe.initial else None,
        settings=recipe.settings,
        report=report,
    )


def _train_language_model(recipe: LanguageModelRecipe, report: Report | None) -> None:
    from nextgpt.train.pretrain.language_model import pretrain_language_model

    pretrain_language_model(
        vocabulary=recipe.vocabulary,
        dialogues=recipe.dialogues,
        architecture=recipe.architecture | {"max_position_embeddings": recipe.context_length},
        config=recipe.fit,
        folder=recipe.model / "llm",
        work_folder=recipe.work,
        report=report,
    )


def _train_encoder(recipe: EncoderRecipe, report: Report | None) -> None:
    from nextgpt.train.pretrain.encoder import pretrain_encoder

    pretrain_encoder(
        recipe.encoder,
        recipe.fit,
        folder=recipe.model / "encoder",
        work_folder=recipe.work,
        report=report,
    )


def _train_alignment(recipe: AlignmentRecipe, report: Report | None) -> None:
    from nextgpt.train.align_miniworld import align

    align(recipe, report)


PARTS: dict[str, PartKind] = {
    "autoencoder": PartKind(lambda recipe: f"{recipe.modality}/vae", _train_autoencoder),
    "diffusion": PartKind(lambda recipe: f"{recipe.modality}/transformer", _train_diffusion),
    "language_model": PartKind(lambda recipe: "llm", _train_language_model),
    "encoder": PartKind(lambda recipe: "encoder", _train_encoder),
    "alignment": PartKind(lambda recipe: ".", _train_alignment),
}
