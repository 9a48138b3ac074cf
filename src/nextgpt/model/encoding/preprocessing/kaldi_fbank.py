"""Kaldi log-mel filter bank, equal to ``torchaudio.compliance.kaldi.fbank`` with ImageBind's arguments.

Hann window, frames of 25 ms every 10 ms, no dither, no energy, pre-emphasis 0.97. ``transformers.audio_utils`` has the
same with a loop over frames; this version takes its filters from there and transforms all frames in one batch.
"""

from __future__ import annotations

import warnings
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

FRAME_S = 0.025
HOP_S = 0.010
LOWEST_HZ = 20.0
PREEMPHASIS = 0.97
FLOOR = 1.1920928955078125e-07
"""Kaldi's floor below the logarithm: the machine epsilon of float32."""


def kaldi_fbank(waveform: Float[Tensor, " S"], sample_rate_hz: int, mel_bins: int) -> Float[Tensor, "M F"]:
    """Return log-mel energies of a waveform of at least 25 ms; incomplete frames are dropped."""
    size, hop = int(FRAME_S * sample_rate_hz), int(HOP_S * sample_rate_hz)
    window, filters = _constants(sample_rate_hz, mel_bins, size)
    frames = waveform.unfold(0, size, hop)  # (F, size)
    frames = frames - frames.mean(dim=1, keepdim=True)
    before = torch.cat((frames[:, :1], frames[:, :-1]), dim=1)
    frames = (frames - PREEMPHASIS * before) * window
    power = torch.fft.rfft(frames, n=_fft_size(size)).abs().square()  # (F, bins)
    return (power @ filters).clamp(min=FLOOR).log().T


def _fft_size(frame_size: int) -> int:
    """Return the next power of two."""
    return 1 << (frame_size - 1).bit_length()


@lru_cache(maxsize=8)
def _constants(sample_rate_hz: int, mel_bins: int, frame_size: int) -> tuple[Tensor, Tensor]:
    from transformers.audio_utils import mel_filter_bank

    with warnings.catch_warnings():
        # With 128 bins at 16 kHz, as published, one low filter lies between two frequencies and is empty.
        warnings.filterwarnings("ignore", message="At least one mel filter")
        filters = mel_filter_bank(
            num_frequency_bins=_fft_size(frame_size) // 2 + 1,
            num_mel_filters=mel_bins,
            min_frequency=LOWEST_HZ,
            max_frequency=sample_rate_hz / 2,
            sampling_rate=sample_rate_hz,
            norm=None,
            mel_scale="kaldi",
            triangularize_in_mel_space=True,
        )
    return torch.hann_window(frame_size, periodic=False), torch.from_numpy(filters).float()
