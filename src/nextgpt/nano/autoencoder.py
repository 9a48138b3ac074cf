"""Recipe kind ``autoencoder``: media -> latents of few channels -> media, by absolute error.

Few latent channels matter more than the network: the diffusion model learns 8x8x6 latents several times faster than
8x8x16 ones. Noise on the latents makes the decoder robust against errors of the diffusion model.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from nextgpt.model.synthesis.patch_autoencoder import PatchAutoencoder
from nextgpt.nano.component_training import DrawnBatch, train_component
from nextgpt.nano.media_tensors import MODALITY_TENSORS, spec_sampler
from nextgpt.train.logging import MetricsCallback
from nextgpt.train.parameter_report import ParameterCount
from nextgpt.train.recipe import BaseRecipe
from nextgpt.train.registry import check_arguments, require_component
from nextgpt.train.trainer import Objective

LATENT_NOISE_STD = 0.1
"""Noise on the latents in training; their own standard deviation is near 1."""
LATENT_PENALTY = 1e-3
"""Weight of the squared latents in the loss."""
EDGE_WEIGHT = 1.0
"""Weight of the error of pixel differences, which keeps edges sharp."""
STATISTICS_BATCHES, STATISTICS_BATCH_SIZE = 16, 64


class Config(BaseRecipe):
    """The latent autoencoder of one modality."""

    kind: Literal["autoencoder"]
    modality: Literal["image", "audio", "video"]
    architecture: dict[str, Any]
    """Arguments of :class:`~nextgpt.model.synthesis.patch_autoencoder.PatchAutoencoder`; 3 input channels for images,
    1 for mel spectrograms, 12 for videos (four frames of three channels)."""

    start_from: Path | None = None
    """Diffusers folder of an autoencoder of this architecture to start from; None starts from random weights."""
    motion_weights: dict[str, float] = Field(default={})
    """Relative frequencies of the motions of videos; those that are missing have 1."""

    @property
    def output_dir(self) -> Path:
        """Return the diffusers folder of the autoencoder."""
        return self.model / self.modality / "vae"


class AutoencoderObjective(Objective):
    """Reconstruction error of images, spectrograms or video frames."""

    def __init__(self, autoencoder: PatchAutoencoder) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.loss_weights = {"reconstruction": 1.0}
        self.metric_names = ("absolute_error", "latent_std")

    def forward(self, batch: DrawnBatch) -> dict[str, Tensor]:
        """Return the losses of a batch of pixels."""
        pixels = batch.data.to(self.autoencoder.device, memory_format=torch.channels_last)
        latents = self.autoencoder.encode(pixels).float()
        decoded = self.autoencoder.decode(latents + LATENT_NOISE_STD * torch.randn_like(latents)).float()
        error = (decoded - pixels).abs().mean()
        edges = sum((decoded.diff(dim=d) - pixels.diff(dim=d)).abs().mean() for d in (-1, -2))
        total = error + EDGE_WEIGHT * edges + LATENT_PENALTY * latents.square().mean()
        return {"reconstruction": total, "absolute_error": error, "latent_std": latents.std()}


def run(recipe: Config, on_metrics: MetricsCallback | None = None) -> bool:
    """Train and write a diffusers ``vae`` folder; its config holds mean and standard deviation of the latents."""
    check_arguments(PatchAutoencoder, recipe.architecture, where="architecture")
    torch.manual_seed(recipe.fit.seed)
    autoencoder = PatchAutoencoder(**recipe.architecture)
    if recipe.start_from is not None:
        trained = PatchAutoencoder.from_pretrained(require_component(recipe.start_from))
        autoencoder.load_state_dict(trained.state_dict())
    sample_spec = spec_sampler(recipe.modality, recipe.motion_weights)
    to_tensor = MODALITY_TENSORS[recipe.modality][1]

    def draw_batch(rng: np.random.Generator, size: int) -> Tensor:
        return to_tensor([sample_spec(rng, "train") for _ in range(size)]).flatten(0, 1)

    if not train_component(recipe, AutoencoderObjective(autoencoder), draw_batch, on_metrics):
        return False
    rng = np.random.default_rng(recipe.fit.seed)
    batches = (draw_batch(rng, STATISTICS_BATCH_SIZE) for _ in range(STATISTICS_BATCHES))
    mean, std = latent_statistics(autoencoder, batches)
    autoencoder.register_to_config(latents_mean=mean.tolist(), latents_std=std.tolist())
    autoencoder.to(torch.bfloat16).save_pretrained(recipe.output_dir)
    return True


@torch.inference_mode()
def latent_statistics(autoencoder: PatchAutoencoder, batches: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each latent channel over batches of pixels, (C,) each."""
    latents = torch.cat([autoencoder.encode(pixels.to(autoencoder.device)) for pixels in batches])
    return latents.mean(dim=(0, 2, 3)), latents.std(dim=(0, 2, 3))


def count_parameters(recipe: Config) -> list[ParameterCount]:
    """Count the parameters of encoder and decoder."""
    with torch.device("meta"):
        autoencoder = PatchAutoencoder(**recipe.architecture)
    return [ParameterCount.of("encoder", autoencoder.encoder), ParameterCount.of("decoder", autoencoder.decoder)]
