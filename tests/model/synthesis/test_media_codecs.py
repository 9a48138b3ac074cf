"""Media become the pictures that autoencoders read, and come back."""

from __future__ import annotations

import numpy as np
import PIL.Image
import torch

from nextgpt.message import Audio, Image, Video
from nextgpt.model.synthesis.denoisers import AUDIOLDM_MEL
from nextgpt.model.synthesis.media_codecs import AudioCodec, ImageCodec, VideoCodec
from nextgpt.model.synthesis.mel import MelConfig

RNG = np.random.default_rng(0)


def test_an_image_of_the_right_size_comes_back_bit_equal():
    levels = RNG.integers(0, 256, (8, 12, 3), dtype=np.uint8)
    pixels = ImageCodec().to_pixels([Image(PIL.Image.fromarray(levels))], (1, 3, 8, 12))
    assert pixels.shape == (1, 1, 3, 8, 12)
    assert pixels.min() >= -1 and pixels.max() <= 1
    (back,) = ImageCodec().to_media(pixels)
    assert np.array_equal(np.asarray(back.image), levels)


def test_of_a_wide_image_the_middle_is_kept():
    picture = PIL.Image.new("RGB", (30, 10), "black")
    picture.paste("white", (10, 0, 20, 10))
    pixels = ImageCodec().to_pixels([Image(picture)], (1, 3, 10, 10))
    assert pixels.min() == 1.0


def test_a_film_comes_back_bit_equal_with_its_moments_in_order():
    frames = RNG.integers(0, 256, (16, 8, 8, 3), dtype=np.uint8)
    codec = VideoCodec(fps=8.0)
    pixels = codec.to_pixels([Video(frames, 8.0)], (4, 12, 8, 8))
    assert pixels.shape == (1, 4, 12, 8, 8)
    # The second moment's red stands fourth on the channels of the first picture.
    torch.testing.assert_close(pixels[0, 0, 3], torch.from_numpy(frames[1, :, :, 0]).float() / 127.5 - 1)
    (back,) = codec.to_media(pixels)
    assert np.array_equal(back.frames, frames)
    assert back.fps == 8.0


def test_a_long_film_is_thinned_out_evenly():
    frames = np.arange(31, dtype=np.uint8)[:, None, None, None].repeat(8, 1).repeat(8, 2).repeat(3, 3)
    pixels = VideoCodec(8.0).to_pixels([Video(frames, 30.0)], (16, 3, 8, 8))
    moments = ((pixels[0, :, 0, 0, 0] + 1) * 127.5).round().int().tolist()
    assert moments == list(range(0, 32, 2))


def test_levels_out_of_range_are_cut_off():
    (image,) = ImageCodec().to_media(torch.tensor([-9.0, 9.0]).expand(1, 1, 3, 1, 2))
    assert np.asarray(image.image)[0, :, 0].tolist() == [0, 255]


def test_time_runs_to_the_right_or_downwards():
    sound = Audio(RNG.normal(0, 0.1, (1, 32_000)).astype(np.float32), 16_000)
    right = AudioCodec(MelConfig(), lambda mel: mel.flatten(1))
    down = AudioCodec(AUDIOLDM_MEL, lambda mel: mel.flatten(1))
    assert right.to_pixels([sound], (1, 1, 64, 128)).shape == (1, 1, 1, 64, 128)
    pixels = down.to_pixels([sound], (1, 1, 512, 64))
    assert pixels.shape == (1, 1, 1, 512, 64)
    assert down.to_media(pixels)[0].samples.reshape(64, 512)[3, 5] == pixels[0, 0, 0, 5, 3]


def test_stereo_of_another_rate_is_mixed_and_resampled():
    seconds = np.arange(44_100) / 44_100
    wave = np.sin(2 * np.pi * 1000 * seconds).astype(np.float32)
    codec = AudioCodec(MelConfig(), lambda mel: mel.flatten(1))
    mono = Audio(np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000).astype(np.float32)[None], 16_000)
    stereo = Audio(np.stack([wave * 0.5, wave * 1.5]), 44_100)
    first, second = codec.to_pixels([mono, stereo], (1, 1, 64, 128))
    assert (first - second)[..., 2:50].abs().max() < 0.1
