"""The synthesizer of all modalities: latent diffusion with a diffusers folder, without its text encoder.

It combines the independent adapters (:mod:`.denoisers`, :mod:`.autoencoders`, :mod:`.schedule`,
:mod:`.media_codecs`) and the loop (:mod:`.denoise`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property, partial

import torch
from torch import Tensor, nn

from nextgpt.errors import ConfigError, ModelError
from nextgpt.message import Medium
from nextgpt.model.synthesis.base import Conditions, DenoisingStep, Latents
from nextgpt.model.synthesis.components import SynthesizerComponents
from nextgpt.model.synthesis.denoise import denoising_loop, seeded_noise, with_guidance
from nextgpt.model.synthesis.media_codecs import MediaCodec, create_media_codec
from nextgpt.model.synthesis.schedule import DenoisingSchedule
from nextgpt.model.synthesis.spec import SynthesizerSpec
from nextgpt.model.synthesis.tracing import TracedDenoiser


class LatentDiffusion:
    """Implements :class:`~nextgpt.model.synthesis.base.Synthesizer`.

    Args:
        spec: How the denoiser is called, and with what.
        components: Denoiser, autoencoder and scheduler, loaded on first use.
    """

    def __init__(self, modality: str, spec: SynthesizerSpec, components: SynthesizerComponents) -> None:
        self.modality = modality
        self.adapter = spec.adapter
        self.components = components
        self._traced_denoiser = TracedDenoiser(self.adapter.predict) if self.adapter.is_traceable else None
        self.settings = spec.settings
        self.latent_shape = spec.latent_shape
        self.condition_shape = spec.condition_shape

    def denoise(
        self,
        conditions: Conditions,
        *,
        seeds: Sequence[int],
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        edit_source: Sequence[Medium] | None = None,
        strength: float | None = None,
    ) -> Iterator[DenoisingStep]:
        """Denoise; see :meth:`.base.Synthesizer.denoise`. Arguments are validated here, not at the first step.

        Raises:
            ConfigError: The number of steps, the guidance scale or the strength is out of range.
            ModelError: The conditions belong to another model, or the negative condition is missing.
        """
        guidance_scale = self.settings.guidance_scale if guidance_scale is None else guidance_scale
        strength = self.settings.edit_strength if strength is None else strength
        self._check(conditions, seeds, guidance_scale, edit_source)
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        device = self.components.device
        num_inference_steps = self.settings.num_inference_steps if num_inference_steps is None else num_inference_steps
        schedule = DenoisingSchedule.create(
            self.components.scheduler,
            num_inference_steps,
            strength=1.0 if edit_source is None else strength,
            device=device,
        )
        noise = seeded_noise(generators, self.latent_shape, device)
        latents = schedule.initial_latents(noise, None if edit_source is None else self.encode(edit_source))
        negative = None if guidance_scale == 1 else self._negative_condition().to(device)
        return denoising_loop(
            with_guidance(self.predict, conditions.float().to(device), negative, guidance_scale),
            latents,
            schedule,
            generators,
        )

    @property
    def device(self) -> torch.device:
        """See :attr:`.base.Synthesizer.device`."""
        return self.components.device

    @cached_property
    def macs_per_step(self) -> float:
        """See :attr:`.base.Synthesizer.macs_per_step`, without corrections for patches and lower resolutions."""
        frames, _, height, width = self.latent_shape
        return sum(weight.numel() for weight in self.components.denoiser.parameters()) * frames * height * width

    def to(self, device: str | torch.device) -> None:
        """Move all weights to another device."""
        self.components.to(device)

    def predict(self, latents: Tensor, timestep: Tensor, conditions: Tensor) -> Tensor:
        """Call the denoiser in its dtype; latents stay in float32, so that small steps add up.

        Args:
            timestep: One for all media (), or one per medium (B,).
        """
        denoiser: nn.Module = self.components.denoiser
        dtype = self.components.dtype
        inputs = (latents.to(dtype), timestep, conditions.to(dtype))
        if self.adapter.extra_input is not None:
            inputs = (*inputs, self._extra_input.to(dtype))
        is_traced = self._traced_denoiser is not None and not torch.is_grad_enabled()  # training is not traced
        predict = self._traced_denoiser if is_traced else self.adapter.predict
        return predict(denoiser, *inputs).float()

    @torch.inference_mode()
    def decode(self, latents: Latents) -> list[Medium]:
        """Decode latents to media. Raises :class:`ModelError` if weights and dtype give no numbers."""
        pixels = self.components.autoencoder.decode(latents)
        if not pixels.isfinite().all():
            source = "autoencoder" if latents.isfinite().all() else "denoiser"
            raise ModelError(
                f"The {source} in {self.components.folder} returned values that are no numbers (dtype of the denoiser: "
                f"{self.components.dtype}); expected finite ones. Use float32 or bfloat16, or check the weights."
            )
        return self._media_codec.to_media(pixels)

    @torch.inference_mode()
    def preview(self, latents: Latents) -> list[Medium]:
        """Decode latents to rough media: by a linear map if known, otherwise by the autoencoder."""
        if self.settings.latent_rgb_factors is None:
            return self._preview_codec.to_media(self.components.autoencoder.decode(latents))
        factors = torch.tensor(self.settings.latent_rgb_factors, device=latents.device)
        return self._preview_codec.to_media(torch.einsum("bfzhw,zc->bfchw", latents, factors))

    @torch.inference_mode()
    def encode(self, media: Sequence[Medium]) -> Latents:
        """Encode media to latents. Raises :class:`ConfigError` for media of another modality."""
        for medium in media:
            if medium.modality != self.modality:
                raise ConfigError(
                    f"The source of an edit of {self.modality} is {medium.modality}; expected {self.modality}. "
                    "Use a source of the same modality."
                )
        autoencoder = self.components.autoencoder
        shape = autoencoder.pixel_shape(self.latent_shape)
        return autoencoder.encode(self._media_codec.to_pixels(media, shape).to(self.components.device))

    @cached_property
    def _extra_input(self) -> Tensor:
        assert self.adapter.extra_input is not None, "only for adapters with an extra input"
        return self.components.read_extra_input(*self.adapter.extra_input).to(self.components.device)

    @cached_property
    def _media_codec(self) -> MediaCodec:
        return self._create_codec(for_preview=False)

    @cached_property
    def _preview_codec(self) -> MediaCodec:
        return self._create_codec(for_preview=True)

    def _create_codec(self, *, for_preview: bool) -> MediaCodec:
        return create_media_codec(
            self.modality,
            fps=self.settings.fps,
            mel=self.settings.mel,
            waveform_rate_hz=self.settings.waveform_rate_hz,
            vocoder=partial(_vocode, self.components) if "vocoder" in self.components.index else None,
            for_preview=for_preview,
        )

    def _negative_condition(self) -> Tensor:
        negative = self.components.negative_condition
        if negative is None:
            raise ModelError(
                f"{self.components.folder} has no negative condition; guidance above 1 needs one. "
                "Write it with add_negative_condition, or set guidance_scale=1."
            )
        if negative.shape != self.condition_shape:
            raise ModelError(
                f"The negative condition of {self.components.folder} has the shape {tuple(negative.shape)}; expected "
                f"{self.condition_shape}, as the denoiser takes. Write it again with this folder's text encoder."
            )
        return negative

    def _check(
        self, conditions: Tensor, seeds: Sequence[int], guidance_scale: float, edit_source: Sequence[Medium] | None
    ) -> None:
        assert len(seeds) == len(conditions), f"got {len(conditions)} conditions and {len(seeds)} seeds"
        assert edit_source is None or len(edit_source) == len(conditions), "an edit needs one source per condition"
        if conditions.shape[1:] != self.condition_shape:
            raise ModelError(
                f"Conditions have the shape {tuple(conditions.shape[1:])} (Q, C); the {self.modality} synthesizer in "
                f"{self.components.folder} takes {self.condition_shape}. Use the output projection of the same model."
            )
        if guidance_scale < 1:
            raise ConfigError(f"guidance_scale is {guidance_scale}; expected 1 (none) or more.")


def _vocode(components: SynthesizerComponents, mel: Tensor) -> Tensor:
    """Convert log-mel spectrograms (B, M, W) to samples (B, L) with the folder's vocoder."""
    samples = components.vocoder(mel.mT.to(components.vocoder.dtype)).float()
    return samples.reshape(len(mel), -1)
