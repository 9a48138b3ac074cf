"""Recipe kind ``diffusion``: flow matching of latents given captions; the text encoder is trained as well.

One recipe serves images, audio and videos: their latents differ in shape only. The denoiser is diffusers'
:class:`CogVideoXTransformer3DModel`: condition tokens and latent tokens attend to each other, and positions are
absolute, which "at the top left" needs. Flow matching as in Stable Diffusion 3 (arXiv 2403.03206): times are
logit-normal, the model predicts the velocity ``noise - latents`` at ``(1 - time) * latents + time * noise``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from diffusers import CogVideoXTransformer3DModel, FlowMatchEulerDiscreteScheduler
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from transformers import AutoTokenizer, CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast

from nextgpt.config import parse_config
from nextgpt.miniworld.language import canonical_caption
from nextgpt.model.synthesis.diffusers_io import write_pipeline_dir
from nextgpt.model.synthesis.patch_autoencoder import PatchAutoencoder
from nextgpt.model.synthesis.settings import SynthesisSettings
from nextgpt.nano.component_training import DrawnBatch, train_component
from nextgpt.nano.media_tensors import MODALITY_TENSORS, spec_sampler
from nextgpt.nano.tokenizer import train_tokenizer
from nextgpt.train.logging import MetricsCallback
from nextgpt.train.parameter_report import ParameterCount
from nextgpt.train.recipe import BaseRecipe
from nextgpt.train.registry import check_arguments, require_component
from nextgpt.train.trainer import Objective

NUM_TRAIN_TIMESTEPS = 1000
"""Factor on times in [0, 1] before the denoiser, as diffusers' schedulers scale them."""
EMPTY_CAPTION_PROBABILITY = 0.1
"""Share of empty captions, for classifier-free guidance."""
TOKENIZER_CAPTIONS = 12_000


class Config(BaseRecipe):
    """The latent diffusion model of one modality, with its text encoder and tokenizer."""

    kind: Literal["diffusion"]
    modality: Literal["image", "audio", "video"]
    vocabulary: int
    caption_tokens: int
    denoiser: dict[str, Any]
    """Arguments of diffusers' ``CogVideoXTransformer3DModel``."""
    text_encoder: dict[str, Any]
    """Arguments of transformers' ``CLIPTextConfig``."""
    init_from: str | None = None
    """Modality trained before whose denoiser and text encoder to start from, as video models start from image models;
    its latents may have other channels."""
    freeze_text_encoder: bool = False
    """Keep the text encoder of ``init_from``, so that output projections trained on its embeddings stay valid."""
    motion_weights: dict[str, float] = Field(default={})
    """Relative frequencies of the motions of videos; those that are missing have 1."""
    settings: dict[str, Any] = Field(default={})
    """Fields of :class:`SynthesisSettings` that differ from the defaults."""

    @property
    def output_dir(self) -> Path:
        """Return the folder of the denoiser."""
        return self.model / self.modality / "transformer"


@dataclass(frozen=True)
class CaptionedPixels:
    """Media and their captions."""

    pixels: Float[Tensor, "B F C H W"]
    captions: tuple[str, ...]


class DiffusionObjective(Objective):
    """A denoiser and its text encoder, over the latents of a frozen autoencoder."""

    def __init__(self, recipe: Config, autoencoder: PatchAutoencoder, tokenizer: PreTrainedTokenizerFast) -> None:
        super().__init__()
        self.loss_weights = {"velocity": 1.0}
        self.sample_spec = spec_sampler(recipe.modality, recipe.motion_weights)
        self.to_tensor = MODALITY_TENSORS[recipe.modality][1]
        self.autoencoder = autoencoder.float().eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.text_encoder = create_text_encoder(
            recipe,
            vocab_size=len(tokenizer),
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
        self.denoiser = create_denoiser(recipe, self.text_encoder)

    def draw_batch(self, rng: np.random.Generator, size: int) -> CaptionedPixels:
        """Draw media of the training split; some captions are empty."""
        specs = [self.sample_spec(rng, "train") for _ in range(size)]
        is_empty = rng.random(size) < EMPTY_CAPTION_PROBABILITY
        captions = ("" if empty else canonical_caption(spec) for spec, empty in zip(specs, is_empty, strict=True))
        return CaptionedPixels(self.to_tensor(specs), tuple(captions))

    def forward(self, batch: DrawnBatch) -> dict[str, Tensor]:
        """Return the squared error of the predicted velocity."""
        with torch.no_grad():
            latents = self.encode_latents(batch.data.pixels)
        times = torch.randn(len(latents), device=latents.device).sigmoid()
        noise = torch.randn_like(latents)
        mix = times[:, None, None, None, None]
        velocity = self.denoiser(
            (1 - mix) * latents + mix * noise,
            encoder_hidden_states=self.encode_captions(batch.data.captions),
            timestep=times * NUM_TRAIN_TIMESTEPS,
            return_dict=False,
        )[0]
        return {"velocity": (velocity.float() - (noise - latents)).square().mean()}

    def encode_latents(self, pixels: Float[Tensor, "B F C H W"]) -> Float[Tensor, "B F c h w"]:
        """Return latents of zero mean and unit standard deviation per channel."""
        config, device = self.autoencoder.config, self.autoencoder.device
        mean, std = (
            torch.tensor(value, device=device)[:, None, None] for value in (config.latents_mean, config.latents_std)
        )
        latents = self.autoencoder.encode(pixels.flatten(0, 1).to(device)).float()
        return ((latents - mean) / std).unflatten(0, pixels.shape[:2])

    def encode_captions(self, captions: tuple[str, ...]) -> Float[Tensor, "B Q C"]:
        """Return text embeddings of captions, padded to one length."""
        length = self.text_encoder.config.max_position_embeddings
        tokens = self.tokenizer(
            list(captions), padding="max_length", max_length=length, truncation=True, return_tensors="pt"
        )
        return self.text_encoder(tokens.input_ids.to(self.text_encoder.device)).last_hidden_state


def create_text_encoder(recipe: Config, **tokens: int) -> CLIPTextModel:
    """Create a text encoder; ``tokens`` are the vocabulary size and special token ids."""
    return CLIPTextModel(CLIPTextConfig(max_position_embeddings=recipe.caption_tokens, **tokens, **recipe.text_encoder))


def create_denoiser(recipe: Config, text_encoder: CLIPTextModel) -> CogVideoXTransformer3DModel:
    """Create a denoiser for the embeddings of ``text_encoder``."""
    return CogVideoXTransformer3DModel(
        max_text_seq_length=recipe.caption_tokens, text_embed_dim=text_encoder.config.hidden_size, **recipe.denoiser
    )


def run(recipe: Config, on_metrics: MetricsCallback | None = None) -> bool:
    """Train, and add denoiser and text encoder to the diffusers folder of the autoencoder."""
    check_arguments(CogVideoXTransformer3DModel, recipe.denoiser, where="denoiser")
    check_arguments(CLIPTextConfig, recipe.text_encoder, where="text_encoder")
    parse_config(SynthesisSettings, recipe.settings, where="settings")
    folder = recipe.model / recipe.modality
    autoencoder = PatchAutoencoder.from_pretrained(require_component(folder / "vae"))
    init_dir = require_component(recipe.model / recipe.init_from) if recipe.init_from else None
    torch.manual_seed(recipe.fit.seed)
    objective = DiffusionObjective(recipe, autoencoder, _tokenizer(recipe, init_dir))
    if init_dir is not None:
        denoiser = CogVideoXTransformer3DModel.from_pretrained(init_dir / "transformer")
        load_matching_weights(objective.denoiser, denoiser)
        load_matching_weights(objective.text_encoder, CLIPTextModel.from_pretrained(init_dir / "text_encoder"))
    objective.text_encoder.requires_grad_(not recipe.freeze_text_encoder)
    if recipe.fit.compile:
        objective.denoiser.compile()
    if not train_component(recipe, objective, objective.draw_batch, on_metrics):
        return False
    _write(objective, folder, recipe.settings)
    return True


def _tokenizer(recipe: Config, init_dir: Path | None) -> PreTrainedTokenizerFast:
    """Train a tokenizer, or load the one that a frozen text encoder needs."""
    if recipe.freeze_text_encoder and init_dir is not None:
        return AutoTokenizer.from_pretrained(init_dir / "tokenizer")
    sample_spec, _ = MODALITY_TENSORS[recipe.modality]
    rng = np.random.default_rng(recipe.fit.seed)
    captions = [canonical_caption(sample_spec(rng, "train")) for _ in range(TOKENIZER_CAPTIONS)]
    return train_tokenizer(captions, recipe.vocabulary, for_captions=True)


@torch.no_grad()
def load_matching_weights(module: nn.Module, source: nn.Module) -> None:
    """Copy the weights of ``source`` that have the same name and shape."""
    target = module.state_dict()
    for name, value in source.state_dict().items():
        if name in target and target[name].shape == value.shape:
            target[name].copy_(value)


def _write(objective: DiffusionObjective, folder: Path, settings: Mapping[str, Any]) -> None:
    with torch.inference_mode():
        negative_condition = objective.encode_captions(("",))[0]
    pixels = objective.draw_batch(np.random.default_rng(0), 1).pixels
    latent_shape = tuple(objective.encode_latents(pixels).shape[1:])
    write_pipeline_dir(
        folder,
        {
            "vae": objective.autoencoder.to(torch.bfloat16),
            "transformer": objective.denoiser.to(torch.bfloat16),
            "text_encoder": objective.text_encoder.to(torch.bfloat16),
            "tokenizer": objective.tokenizer,
            "scheduler": FlowMatchEulerDiscreteScheduler(num_train_timesteps=NUM_TRAIN_TIMESTEPS),
        },
        settings=SynthesisSettings(latent_shape=latent_shape, **settings),
        negative_condition=negative_condition.cpu(),
    )


def count_parameters(recipe: Config) -> list[ParameterCount]:
    """Count text encoder, denoiser and the frozen autoencoder."""
    with torch.device("meta"):
        text_encoder = create_text_encoder(recipe, vocab_size=recipe.vocabulary)
        denoiser = create_denoiser(recipe, text_encoder)
    vae = PatchAutoencoder.from_pretrained(require_component(recipe.model / recipe.modality / "vae"))
    return [
        ParameterCount.of("text_encoder", text_encoder.requires_grad_(not recipe.freeze_text_encoder)),
        ParameterCount.of("transformer", denoiser),
        ParameterCount.of("vae", vae.requires_grad_(False)),
    ]
