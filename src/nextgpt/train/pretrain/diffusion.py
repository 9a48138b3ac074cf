"""Pretraining of a latent diffusion model with its text encoder: captions -> latents, by flow matching.

One recipe serves pictures, sounds and clips, since their latents differ in shape only. The denoiser is diffusers'
:class:`CogVideoXTransformer3DModel`: condition tokens and latent tokens attend to each other, and positions are
absolute, which "at the top left" needs. Flow matching as in Stable Diffusion 3 (arXiv 2403.03206): times are
logit-normal, the model predicts the velocity ``noise - latents`` at ``(1 - time) * latents + time * noise``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import CogVideoXTransformer3DModel, FlowMatchEulerDiscreteScheduler
from jaxtyping import Float
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast

from nextgpt.miniworld.language import canonical_caption
from nextgpt.model.synthesis.diffusers_io import write_pipeline_dir
from nextgpt.model.synthesis.patch_autoencoder import PatchAutoencoder
from nextgpt.model.synthesis.settings import SynthesisSettings
from nextgpt.train.fit import TrainerConfig, fit
from nextgpt.train.pretrain.attention import float32_attention
from nextgpt.train.pretrain.pixels import PIXELS

TRAIN_TIMES = 1000
"""Times in [0, 1] are shown to the denoiser in thousandths, as diffusers' schedulers do."""
EMPTY_CAPTION_SHARE = 0.1
"""How often a caption is left out, which is what classifier-free guidance is later measured against."""


@dataclass(frozen=True)
class CaptionedPixels:
    """Media beside their captions."""

    pixels: Float[Tensor, "B F C H W"]
    captions: tuple[str, ...]


def create_text_encoder(
    settings: Mapping[str, Any], caption_tokens: int, vocabulary: int, **special_ids: int
) -> CLIPTextModel:
    """A fresh text encoder for captions of ``caption_tokens``; ``settings`` are of ``CLIPTextConfig``."""
    config = CLIPTextConfig(
        vocab_size=vocabulary, max_position_embeddings=caption_tokens, **special_ids, **settings
    )
    return CLIPTextModel(config)


def create_denoiser(
    settings: Mapping[str, Any], caption_tokens: int, text_encoder: CLIPTextModel
) -> CogVideoXTransformer3DModel:
    """A fresh denoiser that reads what ``text_encoder`` says."""
    return CogVideoXTransformer3DModel(
        max_text_seq_length=caption_tokens, text_embed_dim=text_encoder.config.hidden_size, **settings
    )


class DiffusionTrainer:
    """A denoiser and its text encoder in training, over the latents of a frozen autoencoder."""

    def __init__(
        self,
        modality: str,
        *,
        autoencoder: PatchAutoencoder,
        tokenizer: PreTrainedTokenizerFast,
        denoiser: Mapping[str, Any],
        text_encoder: Mapping[str, Any],
        caption_tokens: int,
    ) -> None:
        self.draw, self.pixels = PIXELS[modality]
        self.autoencoder = autoencoder.float().eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.caption_tokens = caption_tokens
        self.text_encoder = create_text_encoder(
            text_encoder,
            caption_tokens,
            len(tokenizer),
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
        self.denoiser = create_denoiser(denoiser, caption_tokens, self.text_encoder)
        self.denoise = self.denoiser

    def compile(self) -> None:
        """Fuse the denoiser's elementwise work, which pays after some minutes of training."""
        self.denoise = torch.compile(self.denoiser)

    def draw_batch(self, rng: np.random.Generator, size: int) -> CaptionedPixels:
        """Draw contents of the training split."""
        contents = [self.draw(rng, "train") for _ in range(size)]
        dropped = rng.random(size) < EMPTY_CAPTION_SHARE
        captions = tuple(
            "" if drop else canonical_caption(c) for c, drop in zip(contents, dropped, strict=True)
        )
        return CaptionedPixels(self.pixels(contents), captions)

    def loss(self, batch: CaptionedPixels, noise: torch.Generator) -> dict[str, Tensor]:
        """The squared error of the predicted velocity."""
        with torch.no_grad():
            latents = self.latents(batch.pixels)
        times = torch.randn(len(latents), generator=noise).sigmoid()
        start = torch.randn(latents.shape, generator=noise)
        mix = times[:, None, None, None, None]
        with float32_attention():
            velocity = self.denoise(
                (1 - mix) * latents + mix * start,
                encoder_hidden_states=self.conditions(batch.captions),
                timestep=times * TRAIN_TIMES,
                return_dict=False,
            )[0]
        return {"loss": (velocity.float() - (start - latents)).square().mean()}

    def latents(self, pixels: Float[Tensor, "B F C H W"]) -> Float[Tensor, "B F c h w"]:
        """Latents of zero mean and unit spread a channel."""
        config = self.autoencoder.config
        mean, spread = (
            torch.tensor(value)[:, None, None] for value in (config.latents_mean, config.latents_std)
        )
        latents = self.autoencoder.encode(pixels.flatten(0, 1)).float()
        return ((latents - mean) / spread).unflatten(0, pixels.shape[:2])

    def conditions(self, captions: tuple[str, ...]) -> Float[Tensor, "B Q C"]:
        """What the text encoder says of captions, padded to one length."""
        tokens = self.tokenizer(
            list(captions),
            padding="max_length",
            max_length=self.caption_tokens,
            truncation=True,
            return_tensors="pt",
        )
        return self.text_encoder(tokens.input_ids).last_hidden_state


def pretrain_diffusion(
    trainer: DiffusionTrainer,
    config: TrainerConfig,
    *,
    folder: Path,
    work_folder: Path,
    initial: Path | None = None,
    holds_text_encoder: bool = False,
    settings: Mapping[str, Any] = {},
    report: Callable[[dict[str, float]], None] | None = None,
) -> None:
    """Train and write a diffusers folder around the autoencoder that lies in it already.

    Args:
        initial: a diffusers folder whose denoiser and text encoder to start from, as video models start from image
            models; its latents may have other channels.
        holds_text_encoder: leave the text encoder as it is there.
        settings: of :class:`SynthesisSettings`, where the defaults do not fit.
    """
    torch.manual_seed(config.seed)
    if initial is not None:
        inherit(trainer.denoiser, CogVideoXTransformer3DModel.from_pretrained(initial / "transformer"))
        inherit(trainer.text_encoder, CLIPTextModel.from_pretrained(initial / "text_encoder"))
    trainer.text_encoder.requires_grad_(not holds_text_encoder)
    if config.compile:
        trainer.compile()
    modules = {"denoiser": trainer.denoiser, "text_encoder": trainer.text_encoder}
    fit(modules, trainer.draw_batch, trainer.loss, config, work_folder, report=report)
    with torch.inference_mode():
        negative = trainer.conditions(("",))[0]
    shape = trainer.latents(trainer.draw_batch(np.random.default_rng(0), 1).pixels).shape[1:]
    write_pipeline_dir(
        folder,
        {
            "vae": trainer.autoencoder.to(torch.bfloat16),
            "transformer": trainer.denoiser.to(torch.bfloat16),
            "text_encoder": trainer.text_encoder.to(torch.bfloat16),
            "tokenizer": trainer.tokenizer,
            "scheduler": FlowMatchEulerDiscreteScheduler(num_train_timesteps=TRAIN_TIMES),
        },
        settings=SynthesisSettings(latent_shape=tuple(shape), **settings),
        negative_condition=negative,
    )


@torch.no_grad()
def inherit(module: torch.nn.Module, elder: torch.nn.Module) -> None:
    """Copy the weights of ``elder`` that have the same name and shape."""
    mine = module.state_dict()
    for name, value in elder.state_dict().items():
        if name in mine and mine[name].shape == value.shape:
            mine[name].copy_(value)
