"""Mel-cepstral distance between audio, after Kubichek (1993), with dynamic time warping.

Papers differ in every parameter, so each is part of the result, and values compare only under equal parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from nextgpt.errors import ConfigError
from nextgpt.evaluate.metrics.result import MetricResult
from nextgpt.evaluate.metrics.statistics import mean_result
from nextgpt.media.audio import resample, to_mono
from nextgpt.media.types import Audio


@dataclass(frozen=True)
class CepstrumSettings:
    """Parameters of the mel cepstrum and of the alignment."""

    sample_rate_hz: int = 16_000
    """Audio at other rates is resampled."""
    window_ms: float = 32.0
    """Length of the Hann window and of the FFT."""
    hop_ms: float = 8.0
    mel_bands: int = 20
    low_hz: float = 0.0
    high_hz: float = 8_000.0
    first_coefficient: int = 1
    """Coefficient 0 is the loudness."""
    last_coefficient: int = 13
    normalized_peak: bool = True
    """Scale each audio to a peak of 1."""
    alignment: Literal["dtw", "pad"] = "dtw"
    """Dynamic time warping of the mel spectra, or silence after the shorter one."""


def mel_cepstral_distance(
    output_audio: Sequence[Audio], reference_audio: Sequence[Audio], *, settings: CepstrumSettings = CepstrumSettings()
) -> MetricResult:
    """Return the mean mel-cepstral distance in dB; all channels are averaged. Empty audio is left out."""
    pairs = [
        (_mono(first, settings), _mono(second, settings))
        for first, second in zip(output_audio, reference_audio, strict=True)
    ]
    shortest = _samples(settings.window_ms, settings) + 1
    valid = [pair for pair in pairs if min(map(len, pair)) >= shortest]
    result = mean_result("mcd", [_distance_db(*pair, settings) for pair in valid], parameters=asdict(settings))
    return result.with_left_out({"audio shorter than a window": len(pairs) - len(valid)})


def _mono(audio: Audio, settings: CepstrumSettings) -> np.ndarray:
    samples = to_mono(resample(audio, settings.sample_rate_hz)).samples[0].astype(np.float64)
    peak = np.abs(samples).max() if samples.size else 0.0
    return samples / peak if settings.normalized_peak and peak else samples


def _samples(milliseconds: float, settings: CepstrumSettings) -> int:
    return int(milliseconds / 1000 * settings.sample_rate_hz)


def _distance_db(first: np.ndarray, second: np.ndarray, settings: CepstrumSettings) -> float:
    spectra = _mel_spectrum(first, settings), _mel_spectrum(second, settings)
    if settings.alignment == "dtw":
        path = warping_path(*spectra)
        aligned = spectra[0][path[:, 0]], spectra[1][path[:, 1]]
    else:
        longest = max(map(len, spectra))
        aligned = tuple(np.pad(rows, ((0, longest - len(rows)), (0, 0))) for rows in spectra)  # type: ignore[assignment]
    first_cepstrum, second_cepstrum = (_cepstrum(rows, settings) for rows in aligned)
    # Coefficients of log10 energies summed over M bands are 2 M / ln 10 times those of the cepstrum, which enters the
    # distance with 10 sqrt(2) / ln 10.
    scale = 5 * np.sqrt(2) / settings.mel_bands
    return float(scale * np.linalg.norm(first_cepstrum - second_cepstrum, axis=1).mean())


def _mel_spectrum(samples: np.ndarray, settings: CepstrumSettings) -> np.ndarray:
    """Return log10 energies (frames, mel bands)."""
    width, hop = _samples(settings.window_ms, settings), _samples(settings.hop_ms, settings)
    frames = np.lib.stride_tricks.sliding_window_view(samples, width)[: len(samples) - width : hop]
    energies = np.abs(np.fft.rfft(frames * np.hanning(width))) ** 2
    return np.log10(energies @ _mel_bands(width, settings).T + np.finfo(float).eps)


def _mel_bands(width: int, settings: CepstrumSettings) -> np.ndarray:
    """Return triangular filters (mel bands, frequencies) between points that are equidistant in mel."""
    if not 0 <= settings.low_hz < settings.high_hz <= settings.sample_rate_hz / 2:
        raise ConfigError(
            f"mcd: got the band {settings.low_hz:g} to {settings.high_hz:g} Hz; "
            f"expected one within 0 to {settings.sample_rate_hz / 2:g} Hz, half the sample rate."
        )
    low, high = (2595 * np.log10(1 + hz / 700) for hz in (settings.low_hz, settings.high_hz))
    hz = 700 * (10 ** (np.linspace(low, high, settings.mel_bands + 2) / 2595) - 1)
    bins = np.floor((width + 1) * hz / settings.sample_rate_hz).astype(int)
    frequencies = np.arange(width // 2 + 1)
    bands = np.zeros((settings.mel_bands, len(frequencies)))
    for band, (left, center, right) in enumerate(zip(bins, bins[1:], bins[2:], strict=False)):
        bands[band, left:center] = (frequencies[left:center] - left) / max(1, center - left)
        bands[band, center:right] = (right - frequencies[center:right]) / max(1, right - center)
    return bands


def _cepstrum(spectrum: np.ndarray, settings: CepstrumSettings) -> np.ndarray:
    """Return the chosen cepstral coefficients (frames, coefficients)."""
    bands = settings.mel_bands
    order = np.arange(settings.first_coefficient, settings.last_coefficient + 1)
    return spectrum @ np.cos(np.outer(np.arange(1, bands + 1) - 0.5, order) * np.pi / bands)


def warping_path(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the index pairs (steps, 2) of the exact dynamic time warping of frames (n, d) and (m, d).

    Costs are Euclidean. Cells of one anti-diagonal do not depend on each other, so each is one vector operation.
    """
    n, m = len(first), len(second)
    squares = (first**2).sum(1)[:, None] + (second**2).sum(1) - 2 * first @ second.T
    costs = np.sqrt(np.maximum(squares, 0))
    total = np.full((n + 1, m + 1), np.inf)
    total[0, 0] = 0.0
    for diagonal in range(n + m - 1):
        i = np.arange(max(0, diagonal - m + 1), min(n, diagonal + 1))
        j = diagonal - i
        before = np.minimum(np.minimum(total[i, j], total[i, j + 1]), total[i + 1, j])
        total[i + 1, j + 1] = costs[i, j] + before
    path = [(n - 1, m - 1)]
    while path[-1] != (0, 0):
        i, j = path[-1]
        steps = ((i - 1, j - 1), (i - 1, j), (i, j - 1))
        path.append(min(steps, key=lambda step: total[step[0] + 1, step[1] + 1]))
    return np.array(path[::-1])
