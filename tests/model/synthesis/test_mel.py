"""Sound as a log-mel picture, and back."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from nextgpt.model.synthesis.denoisers import AUDIOLDM_MEL
from nextgpt.model.synthesis.mel import MelConfig, _frame_istft, _frame_stft, _stft, griffin_lim, log_mel, mel_filters

RATE_HZ = 16_000


def tone(frequency_hz: float, amplitude: float = 0.4) -> torch.Tensor:
    """Two seconds of a note with harmonics that dies away, (L,)."""
    time_s = torch.arange(2 * RATE_HZ) / RATE_HZ
    waves = [torch.sin(2 * math.pi * frequency_hz * k * time_s + k) / k for k in range(1, 6)]
    return amplitude * sum(waves) * torch.exp(-2 * time_s)


def test_two_seconds_become_a_picture_of_64_bins_and_128_frames_in_about_unit_range():
    mel = log_mel(torch.stack([tone(220), tone(880), 0.3 * torch.randn(2 * RATE_HZ)]))
    assert mel.shape == (3, 64, 128)
    assert mel.min() >= -1.0 and mel.max() < 1.2
    assert mel.amax(dim=(1, 2)).min() > 0.4


def test_silence_is_the_lowest_value_everywhere():
    config = MelConfig()
    lowest = (math.log(config.floor) - config.mean) / config.std
    torch.testing.assert_close(log_mel(torch.zeros(1, 100)), torch.full((1, 64, 128), lowest))


def test_silence_comes_back_as_silence():
    assert griffin_lim(log_mel(torch.zeros(1, 2 * RATE_HZ)), iterations=2).abs().max() < 1e-6


def test_sound_from_a_picture_has_that_picture():
    mel = log_mel(torch.stack([tone(220), tone(440), tone(880)]))
    again = log_mel(griffin_lim(mel))
    assert (again - mel).abs().mean() < 0.06  # 2 dB
    assert (log_mel(griffin_lim(mel, iterations=1)) - mel).abs().mean() > (again - mel).abs().mean()


@pytest.mark.parametrize("frequency_hz", [220.0, 440.0, 1760.0])
def test_a_note_keeps_its_pitch(frequency_hz: float):
    time_s = torch.arange(2 * RATE_HZ) / RATE_HZ
    note = 0.4 * torch.sin(2 * math.pi * frequency_hz * time_s)
    samples = griffin_lim(log_mel(note[None]), iterations=8)[0]
    spectrum = torch.fft.rfft(samples * torch.hann_window(len(samples))).abs()
    strongest_hz = spectrum.argmax().item() * RATE_HZ / len(samples)
    assert strongest_hz == pytest.approx(frequency_hz, rel=0.06)  # a semitone


def test_a_picture_gives_the_same_sound_alone_and_in_a_batch():
    mel = log_mel(torch.stack([tone(220), tone(660)]))
    both = griffin_lim(mel, iterations=4)
    alone = griffin_lim(mel[1:], iterations=4)
    assert both.shape == (2, MelConfig().samples)
    torch.testing.assert_close(both[1:], alone, atol=1e-4, rtol=0)


def test_sound_stays_within_full_scale_whatever_the_picture():
    assert griffin_lim(torch.full((1, 64, 128), 3.0), iterations=2).abs().max() <= 1.0


@pytest.mark.parametrize("config", [MelConfig(), AUDIOLDM_MEL], ids=["nano", "audioldm"])
def test_pictures_are_those_of_the_reference_library(config: MelConfig):
    from transformers.audio_utils import spectrogram, window_function

    samples = tone(330)
    length = config.frames * config.hop_length
    padded = torch.nn.functional.pad(samples, (0, max(0, length - len(samples))))[:length]
    reference = spectrogram(
        padded.numpy().astype(np.float64),
        window_function(config.n_fft, "hann"),
        frame_length=config.n_fft,
        hop_length=config.hop_length,
        power=1.0,
        mel_filters=mel_filters(config).double().numpy(),
        mel_floor=config.floor,
        log_mel="log",
    )[:, : config.frames]
    expected = (torch.from_numpy(reference).float() - config.mean) / config.std
    torch.testing.assert_close(log_mel(samples[None], config)[0], expected, atol=5e-3, rtol=0)


@pytest.mark.parametrize("config", [MelConfig(), MelConfig(n_fft=400, hop_length=160, frames=50, samples=8000)])
def test_frames_are_taken_and_joined_as_torch_does(config: MelConfig):
    length = config.frames * config.hop_length
    samples = torch.randn(2, length, generator=torch.Generator().manual_seed(0))
    spectrum = _stft(samples, config)
    torch.testing.assert_close(_frame_stft(samples, config).mT, spectrum)
    spectrum[:, 3:9] = 0.0  # of no sound any more
    whole = torch.cat([spectrum, torch.zeros_like(spectrum[:, :, :1])], dim=2)
    window = torch.hann_window(config.n_fft)
    expected = torch.istft(whole, config.n_fft, config.hop_length, window=window, length=length)
    torch.testing.assert_close(_frame_istft(spectrum.mT.contiguous(), config), expected)
