from __future__ import annotations

import numpy as np
import pytest

from nextgpt.errors import ConfigError
from nextgpt.evaluate.metrics import compute_metric
from nextgpt.evaluate.metrics.audio import CepstrumSettings, warping_path
from nextgpt.media.types import Audio

RATE = 16_000


def tone(hz: float, seconds: float = 0.4, noise: float = 0.0, rate: int = RATE) -> Audio:
    time = np.arange(int(seconds * rate)) / rate
    samples = np.sin(2 * np.pi * hz * time * (1 + 0.2 * time)) + 0.3 * np.sin(2 * np.pi * 3 * hz * time)
    samples = samples + noise * np.random.default_rng(0).normal(size=len(time))
    return Audio((samples / 2).astype(np.float32), rate)


def mcd(first: Audio, second: Audio, **settings) -> float:
    inputs = {"output_audio": [first], "reference_audio": [second]}
    (result,) = compute_metric("mcd", inputs, settings=CepstrumSettings(**settings))
    return result.value


@pytest.mark.parametrize("alignment", ["pad", "dtw"])
def test_the_distance_is_that_of_the_reference_package(alignment: str, tmp_path):
    reference = pytest.importorskip("mel_cepstral_distance", reason="mel-cepstral-distance is not installed")
    first, second = tone(300), tone(420, noise=0.1)
    paths = [str(audio.save(tmp_path / f"{i}.wav")) for i, audio in enumerate((first, second))]
    stored = [Audio.open(path) for path in paths]
    bels, _ = reference.compare_audio_files(
        *paths, n_fft=32, win_len=32, hop_len=8, fmin=0, fmax=8000, M=20, s=0, D=13,
        aligning=alignment, align_target="mel", dtw_radius=None,
    )  # fmt: skip
    # The package takes sums over mel bands of log10 energies for cepstral coefficients.
    expected = bels * 5 * np.sqrt(2) / 20
    assert mcd(*stored, alignment=alignment) == pytest.approx(expected, rel=2e-3)


def test_more_noise_and_another_sound_are_farther():
    clean = tone(300)
    distances = [mcd(tone(300, noise=noise), clean) for noise in (0, 0.01, 0.1)] + [mcd(tone(900, noise=0.5), clean)]
    assert distances[0] == pytest.approx(0, abs=1e-9)
    assert distances == sorted(distances)


def test_a_slower_rendition_is_near_only_with_warping():
    clean, slow = tone(300), tone(300, seconds=0.6)
    assert mcd(slow, clean) < 0.7 * mcd(slow, clean, alignment="pad")


def test_other_sample_rates_and_channels_are_converted():
    stereo = Audio(np.repeat(tone(300, rate=32_000).samples, 2, axis=0), 32_000)
    assert mcd(stereo, tone(300)) < 0.3 * mcd(tone(500), tone(300))


def test_audio_without_a_window_is_left_out_and_counted():
    inputs = {"output_audio": [tone(300, seconds=0.01), tone(300)], "reference_audio": [tone(300)] * 2}
    (result,) = compute_metric("mcd", inputs)
    assert (result.n, dict(result.left_out)) == (1, {"audio shorter than a window": 1})
    assert result.parameters["mel_bands"] == 20


def test_a_band_above_half_the_sample_rate_is_refused():
    with pytest.raises(ConfigError, match="0 to 4000 Hz, half the sample rate"):
        mcd(tone(300), tone(300), sample_rate_hz=8000)


def test_the_warping_path_is_the_cheapest():
    generator = np.random.default_rng(0)
    first, second = generator.normal(size=(6, 2)), generator.normal(size=(5, 2))

    def cheapest(i: int, j: int) -> float:
        cost = float(np.linalg.norm(first[i] - second[j]))
        before = [cheapest(*step) for step in ((i - 1, j - 1), (i - 1, j), (i, j - 1)) if min(step) >= 0]
        return cost + min(before, default=0.0)

    path = warping_path(first, second)
    assert np.linalg.norm(first[path[:, 0]] - second[path[:, 1]], axis=1).sum() == pytest.approx(cheapest(5, 4))
    assert path[0].tolist() == [0, 0]
    assert path[-1].tolist() == [5, 4]
