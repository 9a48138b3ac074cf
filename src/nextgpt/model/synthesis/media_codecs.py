"""Media as pictures that an autoencoder reads, and back: one codec a modality, in :func:`create_media_codec`.

All pictures have the axes (B, F, N, H, W). A photo is one picture of three channels; a sound one picture of one
channel, its log-mel spectrogram; a film several pictures, each of one or more moments stacked on the channels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import PIL.Image
import PIL.ImageOps
import torch
from jaxtyping import Float
from torch import Tensor

from nextgpt.media import resample, to_mono, uniform_indices
from nextgpt.message import Audio, Image, Medium, Video
from nextgpt.model.synthesis.base import Pixels
from nextgpt.model.synthesis.mel import GRIFFIN_LIM_ITERATIONS, MelConfig, griffin_lim, log_mel

PixelShape = tuple[int, int, int, int]
"""(F, N, H, W) of one medium's pictures."""
Vocoder = Callable[[Tensor], Tensor]
"""Normalised log-mel (B, M, W) to samples (B, L)."""


@runtime_checkable
@runtime_checkable
class MediaCodec(Protocol):
    """Media of one modality to pictures and back."""

    def to_pixels(self, media: Sequence[Medium], shape: PixelShape) -> Pixels:
        """Turn media into pictures of ``shape``, resized, cut, resampled as need be."""
        ...

    def to_media(self, pixels: Pixels) -> list[Medium]:
        """Turn pictures into media."""
        ...


@dataclass(frozen=True)
class ImageCodec:
    """Photos."""

    def to_pixels(self, media: Sequence[Medium], shape: PixelShape) -> Pixels:
        """Cut the middle out where the proportions differ."""
        return torch.stack([_from_rgb(_fitted(medium.image, shape))[None] for medium in media])

    def to_media(self, pixels: Pixels) -> list[Medium]:
        """One photo an item."""
        return [Image(PIL.Image.fromarray(item[0])) for item in _to_rgb(pixels)]


@dataclass(frozen=True)
class VideoCodec:
    """Films at ``fps`` frames a second; a picture of 3 g channels holds g neighbouring moments."""

    fps: float

    def to_pixels(self, media: Sequence[Medium], shape: PixelShape) -> Pixels:
        """Take moments evenly spread over the whole film; cut the middle out where the proportions differ."""
        frames, channels, _, _ = shape
        return torch.stack([self._select_frames(film, frames * channels // 3, shape) for film in media])

    def _select_frames(self, film: Video, count: int, shape: PixelShape) -> Float[Tensor, "F N H W"]:
        chosen = film.frames[uniform_indices(len(film.frames), count)]
        moments = torch.stack([_from_rgb(_fitted(PIL.Image.fromarray(frame), shape)) for frame in chosen])
        return moments.reshape(shape)

    def to_media(self, pixels: Pixels) -> list[Medium]:
        """One silent film an item."""
        frames, channels = pixels.shape[1:3]
        moments = pixels.reshape(len(pixels), frames * channels // 3, 3, *pixels.shape[3:])
        return [Video(item, self.fps) for item in _to_rgb(moments)]


@dataclass(frozen=True)
class AudioCodec:
    """Sounds, as log-mel spectrograms."""

    mel: MelConfig
    vocoder: Vocoder

    def to_pixels(self, media: Sequence[Medium], shape: PixelShape) -> Pixels:
        """Mix to one channel, resample, and fill with silence or cut to the length of the picture."""
        length = self.mel.frames * self.mel.hop_length
        samples = torch.zeros(len(media), length)
        for row, sound in zip(samples, media, strict=True):
            mono = torch.from_numpy(resample(to_mono(sound), self.mel.sample_rate_hz).samples[0])[:length]
            row[: len(mono)] = mono
        return self._orient_mel(log_mel(samples, self.mel))[:, None, None]

    def to_media(self, pixels: Pixels) -> list[Medium]:
        """One sound an item."""
        samples = self.vocoder(self._orient_mel(pixels[:, 0, 0])).cpu().numpy()
        return [Audio(item[None], self.mel.sample_rate_hz) for item in samples]

    def _orient_mel(self, mel: Float[Tensor, "B _ _"]) -> Float[Tensor, "B _ _"]:
        return mel if self.mel.time_axis == "width" else mel.mT


PEAK_AMPLITUDE = 10 ** (-1 / 20)
"""The loudest moment of a sound that was made as it is, -1 dB of what a file holds, as ACE-Step gives them."""


@dataclass(frozen=True)
class WaveformCodec:
    """Sounds as they are: a picture of one row, its samples, with as many channels as the sound has."""

    sample_rate_hz: int

    def to_pixels(self, media: Sequence[Medium], shape: PixelShape) -> Pixels:
        """Resample, mix to one channel where the channels differ in number, and fill with silence or cut."""
        _, channels, _, length = shape
        pixels = torch.zeros(len(media), 1, channels, 1, length)
        for row, sound in zip(pixels, media, strict=True):
            sound = sound if len(sound.samples) == channels else to_mono(sound)
            samples = torch.from_numpy(resample(sound, self.sample_rate_hz).samples)[:, :length]
            row[0, :, 0, : samples.shape[1]] = samples
        return pixels

    def to_media(self, pixels: Pixels) -> list[Medium]:
        """One sound an item, as loud as files allow."""
        samples = pixels[:, 0, :, 0].float()
        samples = samples * (PEAK_AMPLITUDE / samples.abs().amax(dim=(1, 2), keepdim=True).clamp(min=1e-6))
        return [Audio(item, self.sample_rate_hz) for item in samples.cpu().numpy()]


PREVIEW_ITERATIONS = 4
"""Rounds of Griffin-Lim for the preview of a sound."""


def create_media_codec(
    modality: str,
    *,
    fps: float,
    mel: MelConfig,
    waveform_rate_hz: int | None = None,
    vocoder: Vocoder | None = None,
    for_preview: bool = False,
) -> MediaCodec:
    """Make the codec of a modality.

    Args:
        waveform_rate_hz: Sample rate of sounds that are taken as they are, not as spectrograms.
        vocoder: What turns spectrograms into sound; Griffin-Lim where there is none, and for previews.
    """
    if vocoder is None or for_preview:
        iterations = PREVIEW_ITERATIONS if for_preview else GRIFFIN_LIM_ITERATIONS
        vocoder = lambda picture: griffin_lim(picture, mel, iterations=iterations)
    codecs: dict[str, MediaCodec] = {
        "image": ImageCodec(),
        "audio": AudioCodec(mel, vocoder) if waveform_rate_hz is None else WaveformCodec(waveform_rate_hz),
        "video": VideoCodec(fps),
    }
    return codecs[modality]


def _fitted(picture: PIL.Image.Image, shape: PixelShape) -> PIL.Image.Image:
    size = (shape[3], shape[2])
    picture = picture.convert("RGB")
    return picture if picture.size == size else PIL.ImageOps.fit(picture, size, PIL.Image.Resampling.BICUBIC)


def _from_rgb(picture: PIL.Image.Image) -> Float[Tensor, "3 H W"]:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 127.5 - 1


def _to_rgb(pixels: Float[Tensor, "B F 3 H W"]) -> np.ndarray:
    levels = ((pixels + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return levels.permute(0, 1, 3, 4, 2).contiguous().cpu().numpy()
