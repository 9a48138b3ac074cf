"""Convert media to the pixel tensors of an autoencoder and back; one codec per modality.

Pixels have the axes (B, F, N, H, W). An image is one frame of three channels. Audio is one frame of one channel, its
log-mel spectrogram, or one row of samples. Video has several frames, each of one or more video frames stacked on the
channels.
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
"""Shape (F, N, H, W) of one medium's pixels."""
Vocoder = Callable[[Tensor], Tensor]
"""Normalized log-mel spectrograms (B, M, W) to samples (B, L)."""
PEAK_AMPLITUDE = 10 ** (-1 / 20)
"""Peak of synthesized waveforms: -1 dB full scale, as in ACE-Step."""
PREVIEW_ITERATIONS = 4
"""Griffin-Lim iterations of audio previews."""


@runtime_checkable
class MediaCodec(Protocol):
    """Converts media of one modality to pixels and back."""

    def to_pixels(self, media: Sequence[Medium], shape: PixelShape) -> Pixels:
        """Convert media to pixels of ``shape``; resize, crop and resample as necessary."""
        ...

    def to_media(self, pixels: Pixels) -> list[Medium]:
        """Convert pixels to media."""
        ...


@dataclass(frozen=True)
class ImageCodec:
    """Images."""

    def to_pixels(self, media: Sequence[Medium], shape: PixelShape) -> Pixels:
        """Resize images and center-crop them to the aspect ratio."""
        return torch.stack([_from_rgb(_resize(medium.image, shape))[None] for medium in media])

    def to_media(self, pixels: Pixels) -> list[Medium]:
        """Return one image per item."""
        return [Image(PIL.Image.fromarray(item[0])) for item in _to_rgb(pixels)]


@dataclass(frozen=True)
class VideoCodec:
    """Video at ``fps`` frames per second; a frame of 3 g channels has g consecutive video frames."""

    fps: float

    def to_pixels(self, media: Sequence[Medium], shape: PixelShape) -> Pixels:
        """Sample frames evenly, resize and center-crop them to the aspect ratio."""
        frames, channels, _, _ = shape
        return torch.stack([self._select_frames(video, frames * channels // 3, shape) for video in media])

    def _select_frames(self, video: Video, count: int, shape: PixelShape) -> Float[Tensor, "F N H W"]:
        selected = video.frames[uniform_indices(len(video.frames), count)]
        frames = torch.stack([_from_rgb(_resize(PIL.Image.fromarray(frame), shape)) for frame in selected])
        return frames.reshape(shape)

    def to_media(self, pixels: Pixels) -> list[Medium]:
        """Return one silent video per item."""
        frames, channels = pixels.shape[1:3]
        rgb = pixels.reshape(len(pixels), frames * channels // 3, 3, *pixels.shape[3:])
        return [Video(item, self.fps) for item in _to_rgb(rgb)]


@dataclass(frozen=True)
class AudioCodec:
    """Audio as log-mel spectrograms."""

    mel: MelConfig
    vocoder: Vocoder

    def to_pixels(self, media: Sequence[Medium], shape: PixelShape) -> Pixels:
        """Mix to mono, resample, and pad or cut to the length of the spectrogram."""
        length = self.mel.frames * self.mel.hop_length
        samples = torch.zeros(len(media), length)
        for row, audio in zip(samples, media, strict=True):
            mono = torch.from_numpy(resample(to_mono(audio), self.mel.sample_rate_hz).samples[0])[:length]
            row[: len(mono)] = mono
        return self._orient_mel(log_mel(samples, self.mel))[:, None, None]

    def to_media(self, pixels: Pixels) -> list[Medium]:
        """Return one mono audio per item."""
        samples = self.vocoder(self._orient_mel(pixels[:, 0, 0])).cpu().numpy()
        return [Audio(item[None], self.mel.sample_rate_hz) for item in samples]

    def _orient_mel(self, mel: Float[Tensor, "B _ _"]) -> Float[Tensor, "B _ _"]:
        return mel if self.mel.time_axis == "width" else mel.mT


@dataclass(frozen=True)
class WaveformCodec:
    """Audio as waveforms: one row of samples, with the channels of the audio."""

    sample_rate_hz: int

    def to_pixels(self, media: Sequence[Medium], shape: PixelShape) -> Pixels:
        """Resample, mix to mono if the number of channels differs, and pad or cut."""
        _, channels, _, length = shape
        pixels = torch.zeros(len(media), 1, channels, 1, length)
        for row, audio in zip(pixels, media, strict=True):
            audio = audio if len(audio.samples) == channels else to_mono(audio)
            samples = torch.from_numpy(resample(audio, self.sample_rate_hz).samples)[:, :length]
            row[0, :, 0, : samples.shape[1]] = samples
        return pixels

    def to_media(self, pixels: Pixels) -> list[Medium]:
        """Return one audio per item, normalized to :data:`PEAK_AMPLITUDE`."""
        samples = pixels[:, 0, :, 0].float()
        samples = samples * (PEAK_AMPLITUDE / samples.abs().amax(dim=(1, 2), keepdim=True).clamp(min=1e-6))
        return [Audio(item, self.sample_rate_hz) for item in samples.cpu().numpy()]


def create_media_codec(
    modality: str,
    *,
    fps: float,
    mel: MelConfig,
    waveform_rate_hz: int | None = None,
    vocoder: Vocoder | None = None,
    for_preview: bool = False,
) -> MediaCodec:
    """Create the codec of a modality.

    Args:
        waveform_rate_hz: Sample rate of audio as waveforms. Default: audio is spectrograms.
        vocoder: Spectrograms to samples. Default, and always for previews: Griffin-Lim.
    """
    iterations = PREVIEW_ITERATIONS if for_preview else GRIFFIN_LIM_ITERATIONS

    def invert_mel(spectrograms: Tensor) -> Tensor:
        return griffin_lim(spectrograms, mel, iterations=iterations)

    if modality == "image":
        return ImageCodec()
    if modality == "video":
        return VideoCodec(fps)
    assert modality == "audio", modality
    if waveform_rate_hz is not None:
        return WaveformCodec(waveform_rate_hz)
    return AudioCodec(mel, invert_mel if vocoder is None or for_preview else vocoder)


def _resize(image: PIL.Image.Image, shape: PixelShape) -> PIL.Image.Image:
    size = (shape[3], shape[2])
    image = image.convert("RGB")
    return image if image.size == size else PIL.ImageOps.fit(image, size, PIL.Image.Resampling.BICUBIC)


def _from_rgb(image: PIL.Image.Image) -> Float[Tensor, "3 H W"]:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 127.5 - 1


def _to_rgb(pixels: Float[Tensor, "B F 3 H W"]) -> np.ndarray:
    levels = ((pixels + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return levels.permute(0, 1, 3, 4, 2).contiguous().cpu().numpy()
