"""The network of :class:`.patch_autoencoder.PatchAutoencoder`, in plain PyTorch.

Pixels are unshuffled by four before the first convolution, so all convolutions have 16x16 or 8x8 maps.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

PATCH = 4
"""Side of the pixel patches that become channels before the first convolution."""
DOWNSAMPLE = 2
"""Downsampling between the two resolutions; latents are PATCH * DOWNSAMPLE = 8 times smaller than pixels."""


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around an activation, added to their input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, width)
        self.widen = nn.Conv2d(width, width, 3, padding=1)
        self.project = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Return ``x`` plus the residual."""
        return x + self.project(F.silu(self.widen(self.norm(x))))


class PatchNetwork(nn.Module):
    """Pixels (B, C, H, W) in [-1, 1] to latents (B, c, H/8, W/8) and back to (B, C, s H, s W).

    Args:
        in_channels: Channels of the pixels.
        latent_channels: Latent channels c.
        widths: Channels at a quarter and at an eighth of the resolution.
        encoder_layers: Residual blocks per resolution of the encoder.
        decoder_layers: Residual blocks per resolution of the decoder.
        output_scale: Scale s of the decoder's output.
    """

    def __init__(
        self,
        in_channels: int,
        latent_channels: int,
        widths: Sequence[int],
        encoder_layers: Sequence[int],
        decoder_layers: Sequence[int],
        output_scale: int = 1,
    ) -> None:
        super().__init__()
        fine, coarse = widths
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(PATCH),
            nn.Conv2d(in_channels * PATCH**2, fine, 3, padding=1),
            *(ResidualBlock(fine) for _ in range(encoder_layers[0])),
            nn.PixelUnshuffle(DOWNSAMPLE),
            nn.Conv2d(fine * DOWNSAMPLE**2, coarse, 1),
            *(ResidualBlock(coarse) for _ in range(encoder_layers[1])),
            nn.GroupNorm(1, coarse),
            nn.Conv2d(coarse, latent_channels, 1),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(latent_channels, coarse, 3, padding=1),
            *(ResidualBlock(coarse) for _ in range(decoder_layers[1])),
            nn.Conv2d(coarse, fine * DOWNSAMPLE**2, 1),
            nn.PixelShuffle(DOWNSAMPLE),
            *(ResidualBlock(fine) for _ in range(decoder_layers[0])),
            nn.GroupNorm(1, fine),
            nn.Conv2d(fine, in_channels * (PATCH * output_scale) ** 2, 3, padding=1),
            nn.PixelShuffle(PATCH * output_scale),
        )

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the weights."""
        return next(self.parameters()).dtype

    def encode(self, pixels: Float[Tensor, "B C H W"]) -> Float[Tensor, "B c h w"]:
        """Return the latents of ``pixels``."""
        return self.encoder(pixels)

    def decode(self, latents: Float[Tensor, "B c h w"]) -> Float[Tensor, "B C H W"]:
        """Return the pixels of ``latents``."""
        return self.decoder(latents)
