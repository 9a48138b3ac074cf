"""Preprocess audio to mel spectrograms (facebookresearch/ImageBind, ``imagebind/data.py``)."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from nextgpt.media import resample, to_mono
from nextgpt.message import Audio
from nextgpt.model.encoding.config import AudioTower, LastClip
from nextgpt.model.encoding.preprocessing.kaldi_fbank import FRAME_S, kaldi_fbank


def preprocess_audio(audio: Audio, tower: AudioTower) -> Float[Tensor, "clips 1 M F"]:
    """Mix to mono, resample, and convert evenly spaced clips to normalized log-mel spectrograms."""
    samples = resample(to_mono(audio), tower.sample_rate_hz).samples[0]
    rate_hz = tower.sample_rate_hz
    starts = clip_starts_s(len(samples) / rate_hz, tower.clip_s, tower.clips, tower.last_clip)
    clips = [samples[int(start * rate_hz) : int((start + tower.clip_s) * rate_hz)] for start in starts]
    return torch.stack([_log_mel(clip, tower) for clip in clips])


def clip_starts_s(duration_s: float, clip_s: float, clips: int, last_clip: LastClip = "at_end") -> list[Fraction]:
    """Return the distinct start times of evenly spaced clips, the first at 0.

    A medium not longer than a clip has one start: all its clips are equal, and so is their mean. Otherwise the same as
    pytorchvideo's ``ConstantClipsPerVideoSampler``, exact fractions included: ``before_end`` that of version 0.1.5.
    """
    last = Fraction(max(duration_s - clip_s, 0.0))
    steps = clips if last_clip == "before_end" else max(clips - 1, 1)
    return list(dict.fromkeys(last * index / steps for index in range(clips)))


def _log_mel(clip: np.ndarray, tower: AudioTower) -> Float[Tensor, "1 M F"]:
    # Clips shorter than one frame of 25 ms are padded with silence.
    min_length = int(FRAME_S * tower.sample_rate_hz)
    waveform = torch.from_numpy(np.pad(clip, (0, max(0, min_length - len(clip)))))
    mel = kaldi_fbank(waveform - waveform.mean(), tower.sample_rate_hz, tower.mel_bins)[:, : tower.frames]
    # Zeros are appended before the normalization, as published.
    mel = functional.pad(mel, (0, tower.frames - mel.shape[1]))
    return ((mel - tower.mean) / tower.std)[None]
