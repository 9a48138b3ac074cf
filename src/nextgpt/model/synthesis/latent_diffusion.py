"""The synthesizer of every modality: latent diffusion on the parts of a diffusers folder, without its text encoder.

It joins the borders to each library (:mod:`denoisers`, :mod:`autoencoders`, :mod:`schedule`, :mod:`pictures`) and the
loop (:mod:`denoise`); none of them knows another.
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
        components: What does the work; each is loaded when first needed.
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
        """Denoise; see :meth:`Synthesizer.denoise`. What is wrong with the arguments is raised here, not while pulling.

        Raises:
            ConfigError: A number of steps, guidance or strength out of range.
            ModelError: Conditions of another model, or guidance without a negative condition.
        """
        guidance_scale = self.settings.guidance_scale if guidance_scale is None else guidance_scale
        strength = self.settings.edit_strength if strength is None else strength
        self._check(conditions, seeds, guidance_scale, edit_source)
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        device = self.components.device
        num_inference_steps = (
            self.settings.num_inference_steps if num_inference_steps is None else num_inference_steps
        )
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
        """See :attr:`Synthesizer.device`."""
        return self.components.device

    @cached_property
    def macs_per_step(self) -> float:
        """See :attr:`Synthesizer.macs_per_step`; patches and levels of lower resolution are not counted off."""
        frames, _, height, width = self.latent_shape
        return (
            sum(weight.numel() for weight in self.components.denoiser.parameters()) * frames * height * width
        )

    def to(self, device: str | torch.device) -> None:
        """Move all weights to another place."""
        self.components.to(device)

    def predict(self, latents: Tensor, timestep: Tensor, conditions: Tensor) -> Tensor:
        """Call the denoiser in its own precision; the latents stay in float32, where small steps add up.

        Args:
            timestep: One for all media (), or one for each (B,).
        """
        denoiser: nn.Module = self.components.denoiser
        dtype = self.components.dtype
        given = (latents.to(dtype), timestep, conditions.to(dtype))
        if self.adapter.extra_input is not None:
            given = (*given, self._extra_input.to(dtype))
        has_gradients = torch.is_grad_enabled()  # training goes the plain way
        predict = (
            self.adapter.predict if has_gradients or self._traced_denoiser is None else self._traced_denoiser
        )
        return predict(denoiser, *given).float()

    @torch.inference_mode()
    def decode(self, latents: Latents) -> list[Medium]:
        """Turn latents into media."""
        return self._codec.to_media(self.components.autoencoder.decode(latents))

    @torch.inference_mode()
    def preview(self, latents: Latents) -> list[Medium]:
        """Turn latents into media cheaply: by a linear map where one is known, else roughly by the autoencoder."""
        if self.settings.latent_rgb_factors is None:
            return self._preview_codec.to_media(self.components.autoencoder.decode(latents))
        factors = torch.tensor(self.settings.latent_rgb_factors, device=latents.device)
        return self._preview_codec.to_media(torch.einsum("bfzhw,zc->bfchw", latents, factors))

    @torch.inference_mode()
    def encode(self, media: Sequence[Medium]) -> Latents:
        """Turn media into latents. Raises :class:`ConfigError` for media of another modality."""
        for medium in media:
            if medium.modality != self.modality:
                raise ConfigError(
                    f"An edit of {self.modality} starts from {medium.modality}; expected {self.modality}. "
                    "Give a source of the same modality."
                )
        autoencoder = self.components.autoencoder
        shape = autoencoder.pixel_shape(self.latent_shape)
        return autoencoder.encode(self._codec.to_pixels(media, shape).to(self.components.device))

    @cached_property
    def _extra_input(self) -> Tensor:
        assert self.adapter.extra_input is not None
        return self.components.read_extra_input(*self.adapter.extra_input).to(self.components.device)

    @cached_property
    def _codec(self) -> MediaCodec:
        settings = self.settings
        vocoder = partial(_vocode, self.components) if "vocoder" in self.components.index else None
        return create_media_codec(
            self.modality,
            fps=settings.fps,
            mel=settings.mel,
            waveform_rate_hz=settings.waveform_rate_hz,
            vocoder=vocoder,
        )

    @cached_property
    def _preview_codec(self) -> MediaCodec:
        settings = self.settings
        return create_media_codec(
            self.modality,
            fps=settings.fps,
            mel=settings.mel,
            waveform_rate_hz=settings.waveform_rate_hz,
            for_preview=True,
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
                f"The negative condition of {self.components.folder} measures {tuple(negative.shape)}; expected "
                f"{self.condition_shape}, as the denoiser takes. Write it again with this folder's text encoder."
            )
        return negative

    def _check(
        self,
        conditions: Tensor,
        seeds: Sequence[int],
        guidance_scale: float,
        edit_source: Sequence[Medium] | None,
    ) -> None:
        assert len(seeds) == len(conditions), f"{len(conditions)} conditions came with {len(seeds)} seeds"
        assert edit_source is None or len(edit_source) == len(conditions), (
            "an edit needs one source for each condition"
        )
        if conditions.shape[1:] != self.condition_shape:
            raise ModelError(
                f"Conditions measure {tuple(conditions.shape[1:])} (Q, C); the {self.modality} synthesizer in "
                f"{self.components.folder} takes {self.condition_shape}. Take the output projection of the same model."
            )
        if guidance_scale < 1:
            raise ConfigError(
                f"The guidance is {guidance_scale}; expected 1 (none) or more. Set guidance_scale=1.5, say."
            )


def _vocode(parts: SynthesizerComponents, mel: Tensor) -> Tensor:
    """Samples (B, L) for log-mel pictures (B, M, W), by the folder's vocoder, which wants time first."""
    samples = parts.vocoder(mel.mT.to(parts.vocoder.dtype)).float()
    return samples.reshape(len(mel), -1)
