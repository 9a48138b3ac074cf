"""What each kind of recipe makes, and where it lies in the model folder."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nextgpt.config import parse_config
from nextgpt.errors import ConfigError, ModelError, unknown_name_message
from nextgpt.train.recipe import (
    AlignmentRecipe,
    AutoencoderRecipe,
    CorporaRecipe,
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
    from nextgpt.model.synthesis.patch_autoencoder import PatchAutoencoder
    from nextgpt.train.pretrain.autoencoder import pretrain_autoencoder

    check_settings(PatchAutoencoder, recipe.architecture, where="architecture")
    pretrain_autoencoder(
        recipe.modality,
        architecture=recipe.architecture,
        config=recipe.fit,
        folder=recipe.model / recipe.modality / "vae",
        work_folder=recipe.work,
        report=report,
    )


def _train_diffusion(recipe: DiffusionRecipe, report: Report | None) -> None:
    import torch
    from diffusers import CogVideoXTransformer3DModel
    from transformers import CLIPTextConfig

    from nextgpt.model.synthesis.patch_autoencoder import PatchAutoencoder
    from nextgpt.model.synthesis.settings import SynthesisSettings
    from nextgpt.train.pretrain.diffusion import DiffusionTrainer, pretrain_diffusion

    check_settings(CogVideoXTransformer3DModel, recipe.denoiser, where="denoiser")
    check_settings(CLIPTextConfig, recipe.text_encoder, where="text_encoder")
    parse_config(SynthesisSettings, recipe.settings, where="settings")
    folder = recipe.model / recipe.modality
    autoencoder = PatchAutoencoder.from_pretrained(made_before(folder / "vae"))
    initial = made_before(recipe.model / recipe.initial) if recipe.initial else None
    torch.manual_seed(recipe.fit.seed)
    trainer = DiffusionTrainer(
        recipe.modality,
        autoencoder=autoencoder,
        tokenizer=_tokenizer_of(recipe, initial),
        denoiser=recipe.denoiser,
        text_encoder=recipe.text_encoder,
        caption_tokens=recipe.caption_tokens,
    )
    pretrain_diffusion(
        trainer,
        recipe.fit,
        folder=folder,
        work_folder=recipe.work,
        initial=initial,
        holds_text_encoder=recipe.holds_text_encoder,
        settings=recipe.settings,
        report=report,
    )


def _tokenizer_of(recipe: DiffusionRecipe, initial: Path | None) -> Any:
    """A new tokenizer, or that of the text encoder which is held: another one would give its rows to other words."""
    from transformers import AutoTokenizer

    from nextgpt.miniworld.language import canonical_caption
    from nextgpt.train.pretrain.pixels import PIXELS
    from nextgpt.train.pretrain.tokenizer import train_tokenizer

    if recipe.holds_text_encoder and initial is not None:
        return AutoTokenizer.from_pretrained(initial / "tokenizer")
    draw, _ = PIXELS[recipe.modality]
    rng = np.random.default_rng(recipe.fit.seed)
    captions = [canonical_caption(draw(rng, "train")) for _ in range(TOKENIZER_TEXTS)]
    return train_tokenizer(captions, recipe.vocabulary, for_captions=True)


def _train_language_model(recipe: LanguageModelRecipe, report: Report | None) -> None:
    from transformers import LlamaConfig

    from nextgpt.train.pretrain.language_model import pretrain_language_model

    check_settings(LlamaConfig, recipe.architecture, where="architecture")
    pretrain_language_model(
        vocabulary=recipe.vocabulary,
        dialogues=recipe.dialogues,
        tasks=recipe.tasks,
        architecture=recipe.architecture | {"max_position_embeddings": recipe.context_length},
        config=recipe.fit,
        elder=made_before(recipe.model / "llm") if recipe.is_refined else None,
        folder=recipe.model / "llm",
        work_folder=recipe.work,
        report=report,
    )


def _train_encoder(recipe: EncoderRecipe, report: Report | None) -> None:
    from nextgpt.train.own_media import OWN_MEDIA, own_media
    from nextgpt.train.pretrain.encoder import pretrain_encoder

    if recipe.own_media is not None and not recipe.is_refined:
        raise ConfigError("own_media is set for a fresh encoder; expected it with is_refined. Leave one out.")
    pretrain_encoder(
        recipe.encoder,
        recipe.fit,
        is_refined=recipe.is_refined,
        own=own_media(recipe.own_media, recipe.model, recipe.work.parent / OWN_MEDIA),
        folder=recipe.model / "encoder",
        work_folder=recipe.work,
        report=report,
    )


def _train_alignment(recipe: AlignmentRecipe, report: Report | None) -> None:
    from nextgpt.train.align_miniworld import align

    align(recipe, report)


def _train_on_corpora(recipe: CorporaRecipe, report: Report | None) -> None:
    from nextgpt.train.align_corpora import align_on_corpora

    if not align_on_corpora(recipe, report):
        raise SystemExit(0)  # asked to stop, which it did with all that was learned


def check_settings(kind: type, settings: Mapping[str, Any], *, where: str) -> None:
    """Raise :class:`ConfigError` for a setting that ``kind`` does not take; some kinds would silently ignore it."""
    known = (
        [f.name for f in fields(kind)]
        if is_dataclass(kind)
        else [*inspect.signature(kind.__init__).parameters][1:]
    )
    for name in settings:
        if name not in known:
            raise ConfigError(f"{where}: {unknown_name_message('setting', name, known)}")


def made_before(folder: Path) -> Path:
    """``folder``, if it is there. Raises :class:`ModelError` that says to run the recipe that makes it."""
    if not folder.is_dir():
        raise ModelError(
            f"{folder} is missing; expected a part made before. Run the recipe that makes it first."
        )
    return folder


PARTS: dict[str, PartKind] = {
    "autoencoder": PartKind(lambda recipe: f"{recipe.modality}/vae", _train_autoencoder),
    "diffusion": PartKind(lambda recipe: f"{recipe.modality}/transformer", _train_diffusion),
    "language_model": PartKind(lambda recipe: "llm", _train_language_model),
    "encoder": PartKind(lambda recipe: "encoder", _train_encoder),
    "alignment": PartKind(lambda recipe: ".", _train_alignment),
    "corpora": PartKind(lambda recipe: ".", _train_on_corpora),
}
