"""The border to autoencoders: latents of near unit size on our side, whatever each kind wants on the other.

A new kind of autoencoder is one row of :data:`AUTOENCODERS`. Rows are chosen by the class that the folder names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from nextgpt.errors import ModelError, unknown
from nextgpt.model.synthesis.base import Latents, Pixels

AT_ONCE_PX = 2**18
"""Pixels that go through an autoencoder together, or one picture; bounds the memory that a film takes.

Stable Diffusion's keeps several layers of 256 float32 for each: about 2 GB for one picture of 512 x 512.
"""


@dataclass(frozen=True)
class AutoencoderKind:
    """What must be known about one kind of autoencoder."""

    encode: Callable[[Any, Tensor], Tensor]
    """Pictures to raw latents."""
    decode: Callable[[Any, Tensor], Tensor]
    """Raw latents to pictures."""
    shrink: Callable[[Any], int]
    """How many pixels wide one latent cell is."""


AUTOENCODERS: dict[str, AutoencoderKind] = {
    "PatchAutoencoder": AutoencoderKind(
        encode=lambda autoencoder, pixels: autoencoder.encode(pixels),
        decode=lambda autoencoder, latents: autoencoder.decode(latents),
        shrink=lambda autoencoder: 8,
    ),
    "AutoencoderDC": AutoencoderKind(
        encode=lambda autoencoder, pixels: autoencoder.encode(pixels).latent,
        decode=lambda autoencoder, latents: autoencoder.decode(latents).sample,
        shrink=lambda autoencoder: autoencoder.spatial_compression_ratio,
    ),
    # The likeliest latents, not a draw, so that an edit depends on its own seed alone.
    "AutoencoderKL": AutoencoderKind(
        encode=lambda autoencoder, pixels: autoencoder.encode(pixels).latent_dist.mode(),
        decode=lambda autoencoder, latents: autoencoder.decode(latents).sample,
        shrink=lambda autoencoder: 2 ** (len(autoencoder.config.block_out_channels) - 1),
    ),
}


def autoencoder_kind(class_name: str, *, where: str) -> AutoencoderKind:
    """Find the row for an autoencoder. Raises :class:`ModelError` for one that has none; ``where`` names its folder."""
    if class_name not in AUTOENCODERS:
        raise ModelError(f"{where}: {unknown('autoencoder', class_name, AUTOENCODERS)}")
    return AUTOENCODERS[class_name]


class LatentCodec:
    """An autoencoder between pixels and latents of near unit size, with frames folded into the batch."""

    def __init__(self, autoencoder: Any, kind: AutoencoderKind) -> None:
        self.autoencoder = autoencoder
        self.kind = kind
        self.channels: int = autoencoder.config.in_channels
        self.shrink = kind.shrink(autoencoder)
        self.mean, self.std = _latent_statistics(autoencoder.config)

    def encode(self, pixels: Pixels) -> Latents:
        """Encode, and scale to unit size."""
        latents = self._each(self.kind.encode, pixels, px=pixels.shape[-1] * pixels.shape[-2])
        return (latents - self.mean.to(latents.device)) / self.std.to(latents.device)

    def decode(self, latents: Latents) -> Pixels:
        """Scale back, and decode."""
        raw = latents * self.std.to(latents.device) + self.mean.to(latents.device)
        return self._each(self.kind.decode, raw, px=raw.shape[-1] * raw.shape[-2] * self.shrink**2)

    def _each(
        self, run: Callable[[Any, Tensor], Tensor], pictures: Float[Tensor, "B F _ _ _"], *, px: int
    ) -> Float[Tensor, "B F _ _ _"]:
        flat = pictures.flatten(0, 1).to(self.autoencoder.dtype)
        done = torch.cat([run(self.autoencoder, part).float() for part in flat.split(max(1, AT_ONCE_PX // px))])
        return done.unflatten(0, pictures.shape[:2])


def _latent_statistics(config: Any) -> tuple[Tensor, Tensor]:
    """Mean and spread of the raw latents, (Z or 1, 1, 1): a channel's own where known, else by the one factor."""
    if config.get("latents_std") is not None:
        mean, std = config["latents_mean"], config["latents_std"]
    else:
        mean, std = [config.get("shift_factor") or 0.0], [1 / config.get("scaling_factor", 1.0)]
    return torch.tensor(mean)[:, None, None], torch.tensor(std)[:, None, None]
