"""A small convolutional autoencoder without convolutions at full resolution, the VAE of nano's diffusion folders.

It is a diffusers model: saved, loaded and named in ``model_index.json`` like any other. Its network is
:class:`.patch_network.PatchNetwork`.
"""

from __future__ import annotations

from collections.abc import Sequence

from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config

from nextgpt.model.synthesis.patch_network import PATCH, PatchNetwork


class PatchAutoencoder(PatchNetwork, ModelMixin, ConfigMixin):
    """Pixels (B, C, H, W) in [-1, 1] to latents (B, c, H/8, W/8) and back to (B, C, s H, s W).

    Args:
        in_channels: Channels of the pixels.
        latent_channels: Latent channels c.
        widths: Channels at a quarter and at an eighth of the resolution.
        encoder_layers: Residual blocks per resolution of the encoder.
        decoder_layers: Residual blocks per resolution of the decoder.
        output_scale: Scale s of the decoder's output. Only its last convolution depends on it, so sharper media cost
            the diffusion model nothing.
        latents_mean: Mean per latent channel, measured after training.
        latents_std: Standard deviation per latent channel, measured after training.
    """

    @register_to_config
    def __init__(
        self,
        in_channels: int = 3,
        latent_channels: int = 6,
        widths: Sequence[int] = (96, 128),
        encoder_layers: Sequence[int] = (2, 2),
        decoder_layers: Sequence[int] = (3, 2),
        output_scale: int = 1,
        latents_mean: list[float] | None = None,
        latents_std: list[float] | None = None,
    ) -> None:
        super().__init__(in_channels, latent_channels, widths, encoder_layers, decoder_layers, output_scale)

    def enlarged(self, output_scale: int) -> PatchAutoencoder:
        """Return a copy whose decoder repeats every pixel ``output_scale`` times in both directions."""
        settings = {name: value for name, value in self.config.items() if not name.startswith("_")}
        enlarged = PatchAutoencoder(**{**settings, "output_scale": output_scale})
        state = self.state_dict()
        factor = output_scale // self.config.output_scale
        for name in ("weight", "bias"):
            key = f"decoder.{len(self.decoder) - 2}.{name}"
            side = PATCH * self.config.output_scale
            patches = state[key].unflatten(0, (self.config.in_channels, side, side))
            state[key] = patches.repeat_interleave(factor, 1).repeat_interleave(factor, 2).flatten(0, 2)
        enlarged.load_state_dict(state)
        return enlarged
