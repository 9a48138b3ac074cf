"""Pretraining of a latent autoencoder: media -> few-channel latents -> media, by absolute error.

Few latent channels matter more than the network: the diffusion model learns 8x8x6 latents several times faster than
8x8x16 ones. Noise on the latents makes the decoder forgive a diffusion model's slips.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nextgpt.model.synthesis.patch_autoencoder import PatchAutoencoder
from nextgpt.train.fit import TrainerConfig, fit
from nextgpt.train.pretrain.pixels import PIXELS

LATENT_NOISE = 0.1
"""Standard deviation of the noise on latents in training, which themselves are held near unit size."""
LATENT_PENALTY = 1e-3
"""Weight of the squared latents in the loss."""
SHARP_WEIGHT = 1.0
"""Weight of the error between neighbouring pixels' differences, which keeps edges sharp."""
STATISTICS_CASES = 1024
STATISTICS_AT_ONCE = 64
"""A thousand clips at once would take a gigabyte."""


def pretrain_autoencoder(
    modality: str,
    *,
    architecture: Mapping[str, Any],
    config: TrainerConfig,
    folder: Path,
    work_folder: Path,
    report: Callable[[dict[str, float]], None] | None = None,
) -> None:
    """Train and write a diffusers ``vae`` folder, the latents' mean and spread beside the weights in its config.

    Args:
        architecture: the arguments of :class:`PatchAutoencoder`; 3 channels for pictures, 1 for mel pictures, 12 for
            clips (four moments of three channels).
    """
    torch.manual_seed(config.seed)
    draw, pixels = PIXELS[modality]
    autoencoder = PatchAutoencoder(**architecture)

    def draw_batch(rng: np.random.Generator, size: int) -> Tensor:
        return pixels([draw(rng, "train") for _ in range(size)]).flatten(0, 1)

    def loss(batch: Tensor, noise: torch.Generator) -> dict[str, Tensor]:
        batch = batch.contiguous(memory_format=torch.channels_last)
        latents = autoencoder.encode(batch).float()
        noisy = latents + LATENT_NOISE * torch.randn(latents.shape, generator=noise)
        decoded = autoencoder.decode(noisy).float()
        error = (decoded - batch).abs().mean()
        edges = sum((decoded.diff(dim=d) - batch.diff(dim=d)).abs().mean() for d in (-1, -2))
        total = error + SHARP_WEIGHT * edges + LATENT_PENALTY * latents.square().mean()
        return {"loss": total, "absolute_error": error, "latent_spread": latents.std()}

    fit({"autoencoder": autoencoder}, draw_batch, loss, config, work_folder, report=report)
    rng = np.random.default_rng(config.seed)
    sample = (draw_batch(rng, STATISTICS_AT_ONCE) for _ in range(STATISTICS_CASES // STATISTICS_AT_ONCE))
    mean, spread = latent_statistics(autoencoder, sample)
    autoencoder.register_to_config(latents_mean=mean.tolist(), latents_std=spread.tolist())
    autoencoder.to(torch.bfloat16).save_pretrained(folder)


@torch.inference_mode()
def latent_statistics(autoencoder: PatchAutoencoder, sample: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each latent channel over batches of pixels, (C,) each."""
    latents = torch.cat([autoencoder.encode(pixels) for pixels in sample])
    return latents.mean(dim=(0, 2, 3)), latents.std(dim=(0, 2, 3))
