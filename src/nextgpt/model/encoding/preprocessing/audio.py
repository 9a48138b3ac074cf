"""Sounds to pictures of mel bins x time (facebookresearch/ImageBind, ``imagebind/data.py``)."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from nextgpt.media import resample, to_mono
from nextgpt.message import Audio
from nextgpt.model.encoding.config import AudioTower
from nextgpt.model.encoding.preprocessing.clips import clip_starts_s
from nextgpt.model.encoding.preprocessing.kaldi_fbank import FRAME_S, kaldi_fbank


def preprocess_audio(audio: Audio, tower: AudioTower) -> Float[Tensor, "clips 1 M F"]:
    """One channel at the tower's rate, clips evenly placed, each a normalised log-mel picture."""
    samples = resample(to_mono(audio), tower.sample_rate_hz).samples[0]
    rate_hz = tower.sample_rate_hz
    starts = clip_starts_s(len(samples) / rate_hz, tower.clip_s, tower.clips)
    clips = [samples[int(start * rate_hz) : int((start + tower.clip_s) * rate_hz)] for start in starts]
    return torch.stack([_mel_picture(clip, tower) for clip in clips])


def _mel_picture(clip: np.ndarray, tower: AudioTower) -> Float[Tensor, "1 M F"]:
    # Shorter than one frame of 25 ms there is nothing to transform: silence is appended.
    shortest = int(FRAME_S * tower.sample_rate_hz)
    waveform = torch.from_numpy(np.pad(clip, (0, max(0, shortest - len(clip)))))
    picture = kaldi_fbank(waveform - waveform.mean(), tower.sample_rate_hz, tower.mel_bins)[:, : tower.frames]
    # Zeros are appended before the normalisation, as published.
    picture = functional.pad(picture, (0, tower.frames - picture.shape[1]))
    return ((picture - tower.mean) / tower.std)[None]
