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

from nextgpt.errors import ModelError, unknown_name_message
from nextgpt.model.synthesis.base import Latents, Pixels

MAX_BATCH_PIXELS = 2**18
"""Pixels that go through an autoencoder together, or one picture; bounds the memory that a film takes.

Stable Diffusion's keeps several layers of 256 float32 for each: about 2 GB for one picture of 512 x 512.
"""


Downsampling = tuple[int, int, int]
"""How many frames, rows and columns of a picture one latent cell stands for."""


@dataclass(frozen=True)
class AutoencoderAdapter:
    """What must be known about one kind of autoencoder."""

    encode: Callable[[Any, Tensor], Tensor]
    """Pictures (b, N, H, W), or films (b, N, F, H, W), to raw latents of as many axes."""
    decode: Callable[[Any, Tensor], Tensor]
    """Raw latents to pictures or films."""
    downsampling: Callable[[Any], Downsampling]
    """The first frame of a film has a latent frame of its own, and so has each further group of frames."""
    channels: Callable[[Any], int] = lambda autoencoder: autoencoder.config.in_channels
    """N of the pictures."""
    is_video: bool = False
    """Whether it reads films as a whole, rather than every picture by itself."""


AUTOENCODERS: dict[str, AutoencoderAdapter] = {
    "PatchAutoencoder": AutoencoderAdapter(
        encode=lambda autoencoder, pixels: autoencoder.encode(pixels),
        decode=lambda autoencoder, latents: autoencoder.decode(latents),
        downsampling=lambda autoencoder: (1, 8, 8),
    ),
    "AutoencoderDC": AutoencoderAdapter(
        encode=lambda autoencoder, pixels: autoencoder.encode(pixels).latent,
        decode=lambda autoencoder, latents: autoencoder.decode(latents).sample,
        downsampling=lambda autoencoder: (1, *2 * (autoencoder.spatial_compression_ratio,)),
    ),
    # The likeliest latents, not a draw, so that an edit depends on its own seed alone; here and below.
    "AutoencoderKL": AutoencoderAdapter(
        encode=lambda autoencoder, pixels: autoencoder.encode(pixels).latent_dist.mode(),
        decode=lambda autoencoder, latents: autoencoder.decode(latents).sample,
        downsampling=lambda autoencoder: (1, *2 * (2 ** (len(autoencoder.config.block_out_channels) - 1),)),
    ),
    # Wan
    "AutoencoderKLWan": AutoencoderAdapter(
        encode=lambda autoencoder, pixels: autoencoder.encode(pixels).latent_dist.mode(),
        decode=lambda autoencoder, latents: autoencoder.decode(latents).sample,
        downsampling=lambda autoencoder: (
            autoencoder.config.scale_factor_temporal,
            *2 * (autoencoder.config.scale_factor_spatial,),
        ),
        is_video=True,
    ),
    # ACE-Step: sounds as they are, pictures of one row
    "AutoencoderOobleck": AutoencoderAdapter(
        encode=lambda autoencoder, pixels: autoencoder.encode(pixels[:, :, 0]).latent_dist.mode()[:, :, None],
        decode=lambda autoencoder, latents: autoencoder.decode(latents[:, :, 0]).sample[:, :, None],
        downsampling=lambda autoencoder: (1, 1, autoencoder.hop_length),
        channels=lambda autoencoder: autoencoder.config.audio_channels,
    ),
}


def get_autoencoder_adapter(class_name: str, *, where: str) -> AutoencoderAdapter:
    """Find the row for an autoencoder. Raises :class:`ModelError` for one that has none; ``where`` names its folder."""
    if class_name not in AUTOENCODERS:
        raise ModelError(f"{where}: {unknown_name_message('autoencoder', class_name, AUTOENCODERS)}")
    return AUTOENCODERS[class_name]


class LatentCodec:
    """An autoencoder between pixels and latents of near unit size."""

    def __init__(self, autoencoder: Any, kind: AutoencoderAdapter) -> None:
        self.autoencoder = autoencoder
        self.adapter = kind
        self.channels = kind.channels(autoencoder)
        self.downsampling = kind.downsampling(autoencoder)
        self.mean, self.std = _latent_statistics(autoencoder.config)

    def pixel_shape(self, latent_shape: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
        """(F, N, H, W) of the pictures whose latents measure (F, Z, h, w)."""
        frames, _, height, width = latent_shape
        per_frame, per_row, per_column = self.downsampling
        return (frames - 1) * per_frame + 1, self.channels, height * per_row, width * per_column

    def encode(self, pixels: Pixels) -> Latents:
        """Encode, and scale to unit size."""
        latents = self._in_chunks(self.adapter.encode, pixels, px=pixels.shape[-1] * pixels.shape[-2])
        return (latents - self.mean.to(latents.device)) / self.std.to(latents.device)

    def decode(self, latents: Latents) -> Pixels:
        """Scale back, and decode."""
        raw = latents * self.std.to(latents.device) + self.mean.to(latents.device)
        return self._in_chunks(
            self.adapter.decode,
            raw,
            px=raw.shape[-1] * raw.shape[-2] * self.downsampling[1] * self.downsampling[2],
        )

    def _in_chunks(
        self, run: Callable[[Any, Tensor], Tensor], pictures: Float[Tensor, "B _ _ _ _"], *, px: int
    ) -> Float[Tensor, "B _ _ _ _"]:
        pictures = pictures.to(self.autoencoder.dtype)
        if self.adapter.is_video:
            films = pictures.transpose(1, 2)  # (B, N, F, H, W)
            return torch.cat([run(self.autoencoder, film).float() for film in films.split(1)]).transpose(1, 2)
        flat = pictures.flatten(0, 1)
        done = torch.cat(
            [run(self.autoencoder, part).float() for part in flat.split(max(1, MAX_BATCH_PIXELS // px))]
        )
        return done.unflatten(0, pictures.shape[:2])


def _latent_statistics(config: Any) -> tuple[Tensor, Tensor]:
    """Mean and spread of the raw latents, (Z or 1, 1, 1): a channel's own where known, else by the one factor."""
    if config.get("latents_std") is not None:
        mean, std = config["latents_mean"], config["latents_std"]
    else:
        mean, std = [config.get("shift_factor") or 0.0], [1 / config.get("scaling_factor", 1.0)]
    return torch.tensor(mean)[:, None, None], torch.tensor(std)[:, None, None]
