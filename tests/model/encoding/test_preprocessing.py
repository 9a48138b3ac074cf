"""Media to tensors: sizes, places, constants."""

from __future__ import annotations

import math
from fractions import Fraction

import kaldi_native_fbank
import numpy as np
import PIL.Image
import pytest
import torch
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

from nextgpt.message import Audio, Image, Video
from nextgpt.model.encoding import AudioTower, VisionTower
from nextgpt.model.encoding.config import CLIP_MEAN, CLIP_STD
from nextgpt.model.encoding.preprocessing import preprocess_audio, preprocess_image, preprocess_video
from nextgpt.model.encoding.preprocessing.audio import clip_starts_s
from nextgpt.model.encoding.preprocessing.kaldi_fbank import kaldi_fbank

HUGE = VisionTower()
SMALL = VisionTower(size_px=8, patch_px=8, frames=4, clips=2, crops=3)


def plain_log_mel(waveform: np.ndarray, rate_hz: int, bins: int) -> np.ndarray:
    """Kaldi's definition, loop by loop: the discrete Fourier sum, and triangles in mel drawn point by point."""

    def mel(hz: float) -> float:
        return 1127.0 * math.log(1.0 + hz / 700.0)

    size, hop, fft = rate_hz * 25 // 1000, rate_hz // 100, 512
    edges = [mel(20) + (mel(rate_hz / 2) - mel(20)) * i / (bins + 1) for i in range(bins + 2)]
    columns = []
    for start in range(0, len(waveform) - size + 1, hop):
        frame = waveform[start : start + size].astype(np.float64)
        frame = frame - frame.mean()
        frame = np.array([frame[i] - 0.97 * frame[max(i - 1, 0)] for i in range(size)])
        frame *= [0.5 - 0.5 * math.cos(2 * math.pi * i / (size - 1)) for i in range(size)]
        times = np.arange(size)
        powers = [abs(np.sum(frame * np.exp(-2j * np.pi * k * times / fft))) ** 2 for k in range(fft // 2 + 1)]
        column = []
        for low, middle, high in zip(edges, edges[1:], edges[2:], strict=False):
            energy = 0.0
            for k, power in enumerate(powers):
                at = mel(k * rate_hz / fft)
                energy += power * max(0.0, min((at - low) / (middle - low), (high - at) / (high - middle)))
            column.append(math.log(max(energy, 1.1920928955078125e-07)))
        columns.append(column)
    return np.array(columns).T


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, 1600).astype(np.float32)


def test_the_filter_bank_equals_a_plain_one(noise):
    expected = plain_log_mel(noise, 16_000, 20)
    np.testing.assert_allclose(kaldi_fbank(torch.from_numpy(noise), 16_000, 20).numpy(), expected, atol=2e-3)


@pytest.mark.filterwarnings("ignore:At least one mel filter")
def test_the_filter_bank_equals_that_of_transformers(noise):
    filters = mel_filter_bank(257, 128, 20, 8000, 16_000, None, "kaldi", triangularize_in_mel_space=True)
    expected = spectrogram(
        noise, window_function(400, "hann", periodic=False), 400, 160, fft_length=512, power=2.0, center=False,
        preemphasis=0.97, mel_filters=filters, log_mel="log", mel_floor=1.192092955078125e-07, remove_dc_offset=True,
    )  # fmt: skip
    np.testing.assert_allclose(kaldi_fbank(torch.from_numpy(noise), 16_000, 128).numpy(), expected, atol=5e-3)


def kaldis_log_mel(waveform: np.ndarray, rate_hz: int, bins: int, low_hz: float = 20, high_hz: float = 0) -> np.ndarray:
    """Kaldi's own code (csukuangfj/kaldi-native-fbank) with the arguments of ImageBind."""
    options = kaldi_native_fbank.FbankOptions()
    frames, mel = options.frame_opts, options.mel_opts
    frames.samp_freq, frames.frame_length_ms, frames.frame_shift_ms = rate_hz, 25, 10
    frames.window_type, frames.dither = "hanning", 0.0
    mel.num_bins, mel.low_freq, mel.high_freq = bins, low_hz, high_hz
    options.htk_compat, options.use_energy = True, False
    bank = kaldi_native_fbank.OnlineFbank(options)
    bank.accept_waveform(rate_hz, waveform.tolist())
    bank.input_finished()
    return np.stack([bank.get_frame(index) for index in range(bank.num_frames_ready)], axis=1)


def kaldis_128_bins(waveform: np.ndarray) -> np.ndarray:
    """ImageBind's 128 bins at 16 kHz. Kaldi refuses them, as the one of number 3 lies between two frequencies and is
    empty; it does compute the bins below and above, which have the same corners."""
    lowest, highest = (1127 * math.log(1 + hz / 700) for hz in (20, 8000))
    corner = 700 * (math.exp((lowest + (highest - lowest) * 4 / 129) / 1127) - 1)
    below, above = (kaldis_log_mel(waveform, 16_000, 3, 20, corner), kaldis_log_mel(waveform, 16_000, 124, corner, 0))
    empty = np.full((1, below.shape[1]), math.log(1.1920928955078125e-07), np.float32)
    return np.concatenate([below, empty, above])


@pytest.fixture
def chirp() -> np.ndarray:
    times = np.arange(32_000) / 16_000
    tone = 0.3 * np.sin(2 * np.pi * (200 + 1500 * times) * times)
    return (tone + np.random.default_rng(0).normal(0, 0.05, len(times))).astype(np.float32)


def test_the_filter_bank_equals_kaldis(chirp):
    expected = kaldis_128_bins(chirp)
    assert expected.shape == (128, 198)
    np.testing.assert_allclose(kaldi_fbank(torch.from_numpy(chirp), 16_000, 128).numpy(), expected, atol=5e-3)


@pytest.mark.parametrize(("rate_hz", "bins"), [(16_000, 64), (48_000, 128)])
def test_the_filter_bank_equals_kaldis_at_other_sizes(chirp, rate_hz, bins):
    ours, expected = (kaldi_fbank(torch.from_numpy(chirp), rate_hz, bins).numpy(), kaldis_log_mel(chirp, rate_hz, bins))
    np.testing.assert_allclose(ours, expected, atol=5e-3)


def test_what_the_audio_tower_sees_is_kaldis_filter_bank_filled_up_and_normalised():
    heard = np.random.default_rng(0).normal(0.1, 0.1, 96_000).astype(np.float32)
    clips = preprocess_audio(Audio(heard[None], 16_000), AudioTower())
    for clip, start in zip(clips, (0, 32_000, 64_000), strict=True):
        part = heard[start : start + 32_000]
        filled = np.zeros((128, 204), np.float32)
        filled[:, :198] = kaldis_128_bins(part - part.mean())
        np.testing.assert_allclose(clip[0].numpy(), (filled + 4.268) / 9.138, atol=2e-3)


def test_two_seconds_make_198_columns_and_zeros_up_to_204():
    tone = np.sin(np.arange(32_000) * 0.3).astype(np.float32)[None]
    clips = preprocess_audio(Audio(tone, 16_000), AudioTower())
    assert clips.shape == (1, 1, 128, 204)
    appended = torch.full((128, 6), 4.268 / 9.138)
    torch.testing.assert_close(clips[0, 0, :, 198:], appended)
    assert (clips[0, 0, :, :198] != appended[0, 0]).all()


def test_a_longer_sound_gives_three_clips_from_start_to_end():
    samples = np.random.default_rng(0).normal(0, 0.1, (1, 96_000)).astype(np.float32)
    clips = preprocess_audio(Audio(samples, 16_000), AudioTower())
    last = preprocess_audio(Audio(samples[:, -32_000:], 16_000), AudioTower())
    assert clips.shape == (3, 1, 128, 204)
    torch.testing.assert_close(clips[2], last[0])


def test_a_constant_added_to_a_sound_changes_nothing():
    samples = np.random.default_rng(0).normal(0, 0.1, (1, 32_000)).astype(np.float32)
    one, other = (preprocess_audio(Audio(s, 16_000), AudioTower()) for s in (samples, samples + np.float32(0.25)))
    torch.testing.assert_close(one, other, atol=1e-2, rtol=0)


@pytest.mark.parametrize("count", [1, 399, 400])
def test_a_sound_of_a_few_samples_is_taken(count):
    clips = preprocess_audio(Audio(np.full((2, count), 0.1, np.float32), 16_000), AudioTower())
    assert clips.shape == (1, 1, 128, 204)
    assert clips.isfinite().all()


def test_clips_start_evenly_and_equal_ones_once():
    assert clip_starts_s(10.0, 2.0, 5) == [0.0, 2.0, 4.0, 6.0, 8.0]
    assert clip_starts_s(1.5, 2.0, 5) == [0.0]
    assert clip_starts_s(10.0, 2.0, 1) == [0.0]


def test_clips_of_nextgpt_do_not_reach_the_end():
    """By hand from pytorchvideo 0.1.5: a clip starts at i (T - 2) / n, here 8 / 5 and 8 / 3 s apart."""
    assert clip_starts_s(10.0, 2.0, 5, "before_end") == [Fraction(8 * i, 5) for i in range(5)]
    assert clip_starts_s(10.0, 2.0, 3, "before_end") == [0, Fraction(8, 3), Fraction(16, 3)]
    assert clip_starts_s(1.5, 2.0, 3, "before_end") == [0]
    samples = np.arange(10 * 16_000, dtype=np.float32)[None] / 160_000
    tower = AudioTower().model_copy(update={"last_clip": "before_end"})
    clips = preprocess_audio(Audio(samples, 16_000), tower)
    first = int(Fraction(16, 3) * 16_000)
    last = Audio(samples[:, first : first + 32_000], 16_000)
    torch.testing.assert_close(clips[2], preprocess_audio(last, tower)[0])


def test_a_video_one_pixel_from_square_counts_its_end_crop_twice():
    """As published: the mean over crops at 0, ceil(1 / 2) and 1, not over the two that differ."""
    video = Video(np.zeros((2, 8, 9, 3), np.uint8), 1.0)
    tower = SMALL.model_copy(update={"clips": 1, "frames": 2, "patch_frames": 2})
    assert len(preprocess_video(video, tower)) == 3


def test_a_picture_is_scaled_cut_and_normalised():
    wide = PIL.Image.new("RGB", (300, 100), "black")
    wide.paste("white", (100, 0, 200, 100))  # The middle square alone is white.
    square = preprocess_image(Image(wide), HUGE)
    assert square.shape == (1, 3, 1, 224, 224)
    white = [(1 - mean) / std for mean, std in zip(CLIP_MEAN, CLIP_STD, strict=True)]
    assert square[0, :, 0, 112, 112].tolist() == pytest.approx(white, rel=1e-5)
    assert square[0, 0, 0, 112, 4:-4].tolist() == pytest.approx([white[0]] * 216, abs=0.05)


@pytest.mark.parametrize("mode", ["RGBA", "L", "P", "CMYK", "1"])
def test_pictures_of_any_mode_are_taken(mode):
    assert preprocess_image(Image(PIL.Image.new(mode, (9, 30))), SMALL).shape == (1, 3, 1, 8, 8)


def counting_film(count: int, height: int, width: int, fps: float) -> Video:
    """Frame i has the value i everywhere."""
    frames = np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, height, width, 3))
    return Video(np.ascontiguousarray(frames), fps)


def shown(view: torch.Tensor) -> list[int]:
    """Which frames of a counting film a view holds."""
    red = view[0, :, 0, 0] * CLIP_STD[0] + CLIP_MEAN[0]
    return [round(value * 255) for value in red.tolist()]


def test_clips_of_a_film_span_it_with_evenly_chosen_frames():
    views = preprocess_video(counting_film(60, 8, 8, 10.0), SMALL)
    assert [shown(view) for view in views] == [[0, 6, 12, 19], [40, 46, 52, 59]]


def test_a_film_shorter_than_a_clip_is_one_clip():
    views = preprocess_video(counting_film(16, 8, 8, 8.0), SMALL)
    assert [shown(view) for view in views] == [[0, 5, 10, 15]]


def test_a_film_of_one_frame_repeats_it():
    assert [shown(view) for view in preprocess_video(counting_film(1, 8, 8, 8.0), SMALL)] == [[0, 0, 0, 0]]


@pytest.mark.parametrize(("height", "width"), [(8, 20), (20, 8)])
def test_a_long_film_is_cut_at_both_ends_and_in_the_middle(height, width):
    positions = np.indices((height, width))[0 if height > width else 1].astype(np.uint8)
    video = Video(np.broadcast_to(positions[None, :, :, None], (4, height, width, 3)).copy(), 4.0)
    views = preprocess_video(video, SMALL)
    corner = views[:, 0, 0, 0, 0] * CLIP_STD[0] + CLIP_MEAN[0]
    assert [round(value * 255) for value in corner.tolist()] == [0, 6, 12]


def test_the_published_film_has_fifteen_views():
    assert preprocess_video(counting_film(100, 24, 32, 10.0), HUGE).shape == (15, 3, 2, 224, 224)
