"""Recipe kind ``decoder``: larger media from the latents of a trained autoencoder.

The encoder is frozen, so latents and diffusion model stay valid. The targets are rendered from larger sprites than
those of the package.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from nextgpt.miniworld import sample_specs
from nextgpt.miniworld.specs import MediaSpec
from nextgpt.miniworld.sprites import Detail
from nextgpt.model.synthesis.patch_autoencoder import PatchAutoencoder
from nextgpt.nano.component_training import DrawnBatch, train_component
from nextgpt.nano.media_tensors import clip_tensor, scene_tensor
from nextgpt.train.logging import MetricsCallback
from nextgpt.train.parameter_report import ParameterCount
from nextgpt.train.recipe import BaseRecipe
from nextgpt.train.registry import require_component
from nextgpt.train.trainer import Objective

LATENT_NOISE_STD = 0.1
"""Noise on the latents, of standard deviation near 1, against errors of the diffusion model."""
EDGE_WEIGHT = 1.0
"""Weight of the error of pixel differences, which keeps edges sharp."""


class Config(BaseRecipe):
    """A decoder of larger images or videos."""

    kind: Literal["decoder"]
    modality: Literal["image", "video"]
    output_scale: int = Field(3, ge=2, le=4)
    """Height and width of the output in units of the small world's 64 pixels."""
    sheets: Path | None = None
    """Folder with the sprites at this scale (``scripts/make_miniworld_sprites.py``). Default: the embedded sprites,
    enlarged; sufficient for tests only."""
    frames_per_clip: int = Field(1, ge=1, le=4)
    """Latent frames of each video in a batch, chosen at random."""

    @property
    def output_dir(self) -> Path:
        """Return the diffusers folder of the autoencoder, which is replaced."""
        return self.model / self.modality / "vae"


class DecoderObjective(Objective):
    """Reconstruction error of large media from the latents of small ones."""

    def __init__(self, autoencoder: PatchAutoencoder) -> None:
        super().__init__()
        self.decoder = autoencoder.decoder
        self._encode = autoencoder.encode  # not a submodule: it is frozen, and no checkpoint needs it
        self.loss_weights = {"reconstruction": 1.0}
        self.metric_names = ("absolute_error",)

    def forward(self, batch: DrawnBatch) -> dict[str, Tensor]:
        """Return the losses of a batch of small and large pixels."""
        small, large = (pixels.to(memory_format=torch.channels_last) for pixels in batch.data)
        with torch.no_grad():
            latents = self._encode(small).float()
        decoded = self.decoder(latents + LATENT_NOISE_STD * torch.randn_like(latents)).float()
        error = (decoded - large).abs().mean()
        edges = sum((decoded.diff(dim=d) - large.diff(dim=d)).abs().mean() for d in (-1, -2))
        return {"reconstruction": error + EDGE_WEIGHT * edges, "absolute_error": error}


def run(recipe: Config, on_metrics: MetricsCallback | None = None) -> bool:
    """Train the decoder and replace the autoencoder in the model folder."""
    torch.manual_seed(recipe.fit.seed)
    # Enlarging also drops the path from which diffusers loaded the weights, which it would write into the config.
    autoencoder = PatchAutoencoder.from_pretrained(require_component(recipe.output_dir)).float()
    autoencoder = autoencoder.enlarged(recipe.output_scale)
    autoencoder.encoder.requires_grad_(False)
    detail = Detail(recipe.output_scale, recipe.sheets)

    def draw_batch(rng: np.random.Generator, size: int) -> tuple[Tensor, Tensor]:
        return _draw(rng, size, recipe, detail)

    if not train_component(recipe, DecoderObjective(autoencoder), draw_batch, on_metrics):
        return False
    autoencoder.to(torch.bfloat16).save_pretrained(recipe.output_dir)
    return True


def _draw(rng: np.random.Generator, size: int, recipe: Config, detail: Detail) -> tuple[Tensor, Tensor]:
    """Return the same media small and large, each (B, C, H, W)."""
    if recipe.modality == "image":
        scenes = [sample_specs.sample_scene(rng, "train") for _ in range(size)]
        return scene_tensor(scenes).flatten(0, 1), scene_tensor(scenes, detail).flatten(0, 1)
    clips: list[MediaSpec] = [sample_specs.sample_clip(rng, "train") for _ in range(size)]
    small, large = clip_tensor(clips), clip_tensor(clips, detail)
    chosen = torch.from_numpy(np.stack([rng.permutation(small.shape[1])[: recipe.frames_per_clip] for _ in clips]))
    rows = torch.arange(size)[:, None]
    return small[rows, chosen].flatten(0, 1), large[rows, chosen].flatten(0, 1)


def count_parameters(recipe: Config) -> list[ParameterCount]:
    """Count the parameters of the decoder and of the frozen encoder."""
    config = PatchAutoencoder.load_config(require_component(recipe.output_dir))
    with torch.device("meta"):
        autoencoder = PatchAutoencoder.from_config({**config, "output_scale": recipe.output_scale})
    autoencoder.encoder.requires_grad_(False)
    return [ParameterCount.of("encoder", autoencoder.encoder), ParameterCount.of("decoder", autoencoder.decoder)]
