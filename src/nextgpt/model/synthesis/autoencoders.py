"""Adapters for autoencoders: latents with about unit variance on our side, each library's own format on the other.

A new autoencoder is one row of :data:`AUTOENCODERS`, selected by the class name in the folder.
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
"""Maximum pixels per autoencoder call (at least one image); bounds the memory of videos.

Stable Diffusion's autoencoder needs about 2 GB for one image of 512 x 512.
"""


Downsampling = tuple[int, int, int]
"""Frames, rows and columns of pixels per latent cell."""


@dataclass(frozen=True)
class AutoencoderAdapter:
    """Interface of one autoencoder class."""

    encode: Callable[[Any, Tensor], Tensor]
    """Images (b, N, H, W) or videos (b, N, F, H, W) to raw latents with the same axes."""
    decode: Callable[[Any, Tensor], Tensor]
    """Raw latents to images or videos."""
    downsampling: Callable[[Any], Downsampling]
    """Downsampling factors. The first video frame has its own latent frame, then each group of frames."""
    channels: Callable[[Any], int] = lambda autoencoder: autoencoder.config.in_channels
    """Number of pixel channels N."""
    is_video: bool = False
    """True if it encodes complete videos instead of single frames."""


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
    # The mode instead of a sample, so that an edit depends on its own seed only; also below.
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
    # ACE-Step: waveforms, as images of one row
    "AutoencoderOobleck": AutoencoderAdapter(
        encode=lambda autoencoder, pixels: autoencoder.encode(pixels[:, :, 0]).latent_dist.mode()[:, :, None],
        decode=lambda autoencoder, latents: autoencoder.decode(latents[:, :, 0]).sample[:, :, None],
        downsampling=lambda autoencoder: (1, 1, autoencoder.hop_length),
        channels=lambda autoencoder: autoencoder.config.audio_channels,
    ),
}


def get_autoencoder_adapter(class_name: str, *, where: str) -> AutoencoderAdapter:
    """Return the adapter of an autoencoder class. Raises :class:`ModelError` if there is none."""
    if class_name not in AUTOENCODERS:
        raise ModelError(f"{where}: {unknown_name_message('autoencoder', class_name, AUTOENCODERS)}")
    return AUTOENCODERS[class_name]


class LatentCodec:
    """Encodes pixels to normalized latents and back."""

    def __init__(self, autoencoder: Any, adapter: AutoencoderAdapter) -> None:
        self.autoencoder = autoencoder
        self.adapter = adapter
        self.channels = adapter.channels(autoencoder)
        self.downsampling = adapter.downsampling(autoencoder)
        self.mean, self.std = _latent_statistics(autoencoder.config)

    def pixel_shape(self, latent_shape: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
        """Return the pixel shape (F, N, H, W) of latents (F, Z, h, w)."""
        frames, _, height, width = latent_shape
        per_frame, per_row, per_column = self.downsampling
        return (frames - 1) * per_frame + 1, self.channels, height * per_row, width * per_column

    def encode(self, pixels: Pixels) -> Latents:
        """Encode pixels and normalize the latents."""
        latents = self._in_chunks(self.adapter.encode, pixels, px=pixels.shape[-1] * pixels.shape[-2])
        return (latents - self.mean.to(latents.device)) / self.std.to(latents.device)

    def decode(self, latents: Latents) -> Pixels:
        """Denormalize latents and decode them."""
        raw = latents * self.std.to(latents.device) + self.mean.to(latents.device)
        return self._in_chunks(
            self.adapter.decode, raw, px=raw.shape[-1] * raw.shape[-2] * self.downsampling[1] * self.downsampling[2]
        )

    def _in_chunks(
        self, run: Callable[[Any, Tensor], Tensor], items: Float[Tensor, "B _ _ _ _"], *, px: int
    ) -> Float[Tensor, "B _ _ _ _"]:
        items = items.to(self.autoencoder.dtype)
        if self.adapter.is_video:
            videos = items.transpose(1, 2)  # (B, N, F, H, W)
            return torch.cat([run(self.autoencoder, video).float() for video in videos.split(1)]).transpose(1, 2)
        flat = items.flatten(0, 1)
        outputs = torch.cat(
            [run(self.autoencoder, part).float() for part in flat.split(max(1, MAX_BATCH_PIXELS // px))]
        )
        return outputs.unflatten(0, items.shape[:2])


def _latent_statistics(config: Any) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of raw latents, (Z or 1, 1, 1): per channel, or by one scaling factor."""
    if config.get("latents_std") is not None:
        mean, std = config["latents_mean"], config["latents_std"]
    else:
        mean, std = [config.get("shift_factor") or 0.0], [1 / config.get("scaling_factor", 1.0)]
    return torch.tensor(mean)[:, None, None], torch.tensor(std)[:, None, None]
