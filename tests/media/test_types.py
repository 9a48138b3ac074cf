"""Constructors of media types: unambiguous arrays are converted, all others are refused with a reason."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
import torch

from nextgpt.errors import MediaError
from nextgpt.message import Audio, Depth, Image, Imu, Thermal, Video

TONE = np.array([[0.0, 0.5, -0.5, 1.0]], np.float32)


@pytest.mark.parametrize(
    "samples",
    [
        TONE,
        TONE[0],
        TONE.astype(np.float64),
        TONE[0].tolist(),
        torch.from_numpy(TONE),
        torch.from_numpy(TONE).bfloat16().requires_grad_(),
        np.array([0, 16384, -16384, 32768 - 1], np.int16),
        np.array([0, 2**30, -(2**30), 2**31 - 1], np.int32),
        np.array([128, 192, 64, 255], np.uint8),
    ],
)
def test_equal_audio_in_any_form_has_equal_samples(samples):
    audio = Audio(samples, 16_000)
    assert audio.samples.dtype == np.float32 and audio.samples.shape == (1, 4)
    assert np.allclose(audio.samples, TONE, atol=1 / 128)


def test_samples_first_audio_is_transposed():
    stereo = np.linspace(-1, 1, 200, dtype=np.float32).reshape(100, 2)
    assert np.array_equal(Audio(stereo, 8000).samples, stereo.T)


@pytest.mark.parametrize("rate", [16_000, 16_000.0, np.int64(16_000)])
def test_whole_sample_rates_become_int(rate):
    assert type(Audio(TONE, rate).sample_rate_hz) is int


@pytest.mark.parametrize(
    ("samples", "rate", "message"),
    [
        (np.zeros((1, 2, 3)), 16_000, r"shape \(1, 2, 3\)"),
        (np.zeros((50, 50)), 16_000, "1 to 32 channels"),
        (np.zeros((1, 4), np.int64), 16_000, "dtype int64"),
        (np.array([0.0, np.nan]), 16_000, "NaN"),
        (np.array([0.0, np.inf]), 16_000, "infinite"),
        (np.array([0.0, 20_000.0]), 16_000, "peak of 20000"),
        ("speech.wav", 16_000, "given as str"),
        (None, 16_000, "given as NoneType"),
        (TONE, 0, "sample_rate_hz=0"),
        (TONE, -1, "above 0"),
        (TONE, float("nan"), "above 0"),
        (TONE, True, "above 0"),
        (TONE, 16_000.5, "whole number"),
    ],
)
def test_other_audio_is_refused(samples, rate, message):
    with pytest.raises(MediaError, match=message):
        Audio(samples, rate)


PIXELS = np.array([[[0, 128, 255], [255, 0, 0]]], np.uint8)  # (1, 2, 3)


@pytest.mark.parametrize(
    "pixels",
    [
        PIL.Image.fromarray(PIXELS),
        PIL.Image.fromarray(PIXELS).convert("RGBA"),
        PIXELS,
        PIXELS.astype(np.int64),
        PIXELS / 255,
        (PIXELS / 255).astype(np.float32),
        np.moveaxis(PIXELS, -1, 0),
        torch.from_numpy(PIXELS),
        torch.from_numpy(PIXELS).permute(2, 0, 1) / 255,
    ],
)
def test_equal_images_in_any_form_have_equal_pixels(pixels):
    assert np.array_equal(np.asarray(Image(pixels).image), PIXELS)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (PIXELS.astype(np.float32), "from 0 to 255"),
        (PIXELS.astype(np.int64) - 1, "from -1 to 254"),
        (np.full((2, 2, 3), np.nan), "nan"),
        (PIXELS[..., 0], r"shape \(1, 2\)"),
        (np.zeros((2, 2, 4), np.uint8), "convert|Convert"),
        (np.zeros((0, 2, 3), np.uint8), r"shape \(0, 2, 3\)"),
        (PIL.Image.new("RGB", (0, 5)), r"size \(0, 5\)"),
        ("cat.png", "given as str"),
    ],
)
def test_other_images_are_refused(pixels, message):
    with pytest.raises(MediaError, match=message):
        Image(pixels)


def test_a_transparent_image_is_laid_on_white():
    assert np.asarray(Image(PIL.Image.new("RGBA", (1, 1), (0, 0, 0, 0))).image).tolist() == [[[255, 255, 255]]]


@pytest.mark.parametrize(
    "frames", [PIXELS[None], list(PIXELS[None]), PIXELS[None] / 255, torch.from_numpy(PIXELS[None])]
)
def test_equal_frames_in_any_form_are_equal(frames):
    assert np.array_equal(Video(frames, 8).frames, PIXELS[None])


@pytest.mark.parametrize(
    ("frames", "fps", "audio", "message"),
    [
        (PIXELS, 8, None, "frames, height, width, 3"),
        (PIXELS[None].astype(float), 8, None, "floats from 0 to 1"),
        (PIXELS[None], 0, None, "fps=0"),
        (np.zeros((0, 2, 2, 3), np.uint8), 8, None, r"shape \(0, 2, 2, 3\)"),
    ],
)
def test_other_videos_are_refused(frames, fps, audio, message):
    with pytest.raises(MediaError, match=message):
        Video(frames, fps, audio)


def test_sensor_arrays_are_converted_where_their_unit_is_clear():
    assert Depth(np.ones((2, 3))).metres.dtype == np.float32
    assert np.allclose(Thermal(np.array([[0, 255]], np.uint8)).values, [[0, 1]])
    assert Imu(np.arange(12).reshape(2, 6), 200).samples.tolist() == [[i, i + 6] for i in range(6)]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Depth(np.ones((2, 3), np.uint16)), "Divide millimetres by 1000"),
        (lambda: Depth(np.full((2, 3), -1.0)), "distance of -1"),
        (lambda: Depth(np.full((2, 3), np.nan)), "NaN"),
        (lambda: Depth(np.ones(3)), "height, width"),
        (lambda: Thermal(np.full((2, 3), 300.0)), "from 300 to 300"),
        (lambda: Thermal(np.ones((2, 3), np.uint16)), "dtype uint16"),
        (lambda: Imu(np.ones((5, 9)), 200), r"shape \(5, 9\)"),
        (lambda: Imu(np.ones((6, 9)), 0), "sample_rate_hz=0"),
        (lambda: Imu(np.ones((6, 0)), 200), "at least one sample"),
        (lambda: Imu(np.full((6, 9), np.inf), 200), "infinite"),
    ],
)
def test_other_sensor_arrays_are_refused(build, message):
    with pytest.raises(MediaError, match=message):
        build()


def test_digests_tell_shapes_and_rates_apart():
    samples = np.arange(8, dtype=np.float32) / 8
    flat, stereo = Audio(samples, 16_000), Audio(samples.reshape(2, 4), 16_000)
    assert len({flat.digest, stereo.digest, Audio(samples, 8000).digest}) == 3
    assert flat.digest == Audio(samples.copy(), 16_000).digest
    frames = np.zeros((2, 4, 2, 3), np.uint8)
    silent, loud = Video(frames, 8), Video(frames, 8, flat)
    assert len({silent.digest, loud.digest, Video(frames.reshape(4, 2, 2, 3), 8).digest}) == 3
