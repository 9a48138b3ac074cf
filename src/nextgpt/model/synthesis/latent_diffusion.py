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
from nextgpt.model.synthesis.base import Conditions, Latents, Step
from nextgpt.model.synthesis.blueprint import Blueprint
from nextgpt.model.synthesis.denoise import denoise, guided, seeded_noise
from nextgpt.model.synthesis.parts import Parts
from nextgpt.model.synthesis.pictures import PictureCodec, create_picture_codec
from nextgpt.model.synthesis.schedule import Schedule
from nextgpt.model.synthesis.tracing import Tracer


class LatentDiffusion:
    """Implements :class:`~nextgpt.model.synthesis.base.Synthesizer`.

    Args:
        blueprint: How the denoiser is called, and with what.
        parts: What does the work; each is loaded when first needed.
    """

    def __init__(self, modality: str, blueprint: Blueprint, parts: Parts) -> None:
        self.modality = modality
        self.kind = blueprint.kind
        self.parts = parts
        self._traced = Tracer(self.kind.predict) if self.kind.is_traceable else None
        self.settings = blueprint.settings
        self.latent_shape = blueprint.latent_shape
        self.condition_shape = blueprint.condition_shape

    def steps(
        self,
        conditions: Conditions,
        *,
        seeds: Sequence[int],
        num_steps: int | None = None,
        guidance: float | None = None,
        source: Sequence[Medium] | None = None,
        strength: float | None = None,
    ) -> Iterator[Step]:
        """Denoise; see :meth:`Synthesizer.steps`. What is wrong with the arguments is raised here, not while pulling.

        Raises:
            ConfigError: A number of steps, guidance or strength out of range.
            ModelError: Conditions of another model, or guidance without a negative condition.
        """
        guidance = self.settings.guidance if guidance is None else guidance
        strength = self.settings.edit_strength if strength is None else strength
        self._check(conditions, seeds, guidance, source)
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        device = self.parts.device
        num_steps = self.settings.steps if num_steps is None else num_steps
        schedule = Schedule.start(
            self.parts.scheduler, num_steps, strength=1.0 if source is None else strength, device=device
        )
        noise = seeded_noise(generators, self.latent_shape, device)
        latents = schedule.first_latents(noise, None if source is None else self.encode(source))
        negative = None if guidance == 1 else self._negative_condition().to(device)
        return denoise(
            guided(self.predict, conditions.float().to(device), negative, guidance),
            latents,
            schedule,
            generators,
        )

    @property
    def device(self) -> torch.device:
        """See :attr:`Synthesizer.device`."""
        return self.parts.device

    @cached_property
    def step_macs(self) -> float:
        """See :attr:`Synthesizer.step_macs`; patches and levels of lower resolution are not counted off."""
        frames, _, height, width = self.latent_shape
        return sum(weight.numel() for weight in self.parts.denoiser.parameters()) * frames * height * width

    def to(self, device: str | torch.device) -> None:
        """Move all weights to another place."""
        self.parts.to(device)

    def predict(self, latents: Tensor, timestep: Tensor, conditions: Tensor) -> Tensor:
        """Call the denoiser in its own precision; the latents stay in float32, where small steps add up.

        Args:
            timestep: One for all media (), or one for each (B,).
        """
        denoiser: nn.Module = self.parts.denoiser
        dtype = self.parts.dtype
        given = (latents.to(dtype), timestep, conditions.to(dtype))
        if self.kind.constant is not None:
            given = (*given, self._constant.to(dtype))
        has_gradients = torch.is_grad_enabled()  # training goes the plain way
        predict = self.kind.predict if has_gradients or self._traced is None else self._traced
        return predict(denoiser, *given).float()

    @torch.inference_mode()
    def decode(self, latents: Latents) -> list[Medium]:
        """Turn latents into media."""
        return self._codec.to_media(self.parts.autoencoder.decode(latents))

    @torch.inference_mode()
    def preview(self, latents: Latents) -> list[Medium]:
        """Turn latents into media cheaply: by a linear map where one is known, else roughly by the autoencoder."""
        if self.settings.preview_factors is None:
            return self._preview_codec.to_media(self.parts.autoencoder.decode(latents))
        factors = torch.tensor(self.settings.preview_factors, device=latents.device)
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
        autoencoder = self.parts.autoencoder
        shape = autoencoder.picture_shape(self.latent_shape)
        return autoencoder.encode(self._codec.to_pixels(media, shape).to(self.parts.device))

    @cached_property
    def _constant(self) -> Tensor:
        assert self.kind.constant is not None
        return self.parts.constant(*self.kind.constant).to(self.parts.device)

    @cached_property
    def _codec(self) -> PictureCodec:
        settings = self.settings
        vocoder = partial(_vocode, self.parts) if "vocoder" in self.parts.index else None
        return create_picture_codec(
            self.modality,
            fps=settings.fps,
            mel=settings.mel,
            wave_rate_hz=settings.wave_rate_hz,
            vocoder=vocoder,
        )

    @cached_property
    def _preview_codec(self) -> PictureCodec:
        settings = self.settings
        return create_picture_codec(
            self.modality,
            fps=settings.fps,
            mel=settings.mel,
            wave_rate_hz=settings.wave_rate_hz,
            is_preview=True,
        )

    def _negative_condition(self) -> Tensor:
        negative = self.parts.negative_condition
        if negative is None:
            raise ModelError(
                f"{self.parts.folder} has no negative condition; guidance above 1 needs one. "
                "Write it with add_negative_condition, or set guidance=1."
            )
        if negative.shape != self.condition_shape:
            raise ModelError(
                f"The negative condition of {self.parts.folder} measures {tuple(negative.shape)}; expected "
                f"{self.condition_shape}, as the denoiser takes. Write it again with this folder's text encoder."
            )
        return negative

    def _check(
        self, conditions: Tensor, seeds: Sequence[int], guidance: float, source: Sequence[Medium] | None
    ) -> None:
        assert len(seeds) == len(conditions), f"{len(conditions)} conditions came with {len(seeds)} seeds"
        assert source is None or len(source) == len(conditions), "an edit needs one source for each condition"
        if conditions.shape[1:] != self.condition_shape:
            raise ModelError(
                f"Conditions measure {tuple(conditions.shape[1:])} (Q, C); the {self.modality} synthesizer in "
                f"{self.parts.folder} takes {self.condition_shape}. Take the output projection of the same model."
            )
        if guidance < 1:
            raise ConfigError(
                f"The guidance is {guidance}; expected 1 (none) or more. Set guidance=1.5, say."
            )


def _vocode(parts: Parts, mel: Tensor) -> Tensor:
    """Samples (B, L) for log-mel pictures (B, M, W), by the folder's vocoder, which wants time first."""
    samples = parts.vocoder(mel.mT.to(parts.vocoder.dtype)).float()
    return samples.reshape(len(mel), -1)
