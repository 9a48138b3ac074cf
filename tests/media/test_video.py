"""Films: read with their sound, written so that browsers play them."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import PIL.Image
import pytest

from nextgpt.errors import MediaError
from nextgpt.media import MediaLimits, read_video, uniform_indices, write_video
from nextgpt.media.ffmpeg import constant_rate
from nextgpt.message import Video
from nextgpt.miniworld.render import render_clip
from nextgpt.miniworld.specs import ClipSpec


def test_without_a_suffix_browsers_play_what_is_written(film, tmp_path):
    path = write_video(film, tmp_path / "a")
    with av.open(str(path)) as container:
        picture, sound = container.streams.video[0], container.streams.audio[0]
        assert (picture.codec.name, picture.pix_fmt, sound.codec.name) == ("h264", "yuv420p", "aac")
    assert path.suffix == ".mp4"
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # playing can begin before the file is there


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_a_written_film_comes_back_crisp_with_its_sound(film, tmp_path, suffix):
    read = read_video(write_video(film, tmp_path / f"a{suffix}"))
    assert read.frames.shape == film.frames.shape
    assert read.fps == 8.0
    assert np.abs(read.frames.astype(int) - film.frames).mean() < 4
    assert read.audio.duration_s == pytest.approx(1.0, abs=0.02)
    loudness = np.abs(read.audio.samples).max(axis=1)
    assert loudness == pytest.approx([0.5, 0.25], abs=0.05)


def test_a_film_without_sound_stays_so(film, tmp_path):
    assert read_video(write_video(Video(film.frames, 8.0), tmp_path / "a.mp4")).audio is None


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".mkv"])
def test_equal_frames_give_equal_files(suffix: str, tmp_path: Path) -> None:
    frames = render_clip(ClipSpec("car", "red", "grass", "left")).astype(np.int16)
    frames = (frames + np.random.default_rng(0).integers(-6, 7, frames.shape)).clip(0, 255).astype(np.uint8)
    written = {write_video(Video(frames, 8.0), tmp_path / f"{n}{suffix}").read_bytes() for n in range(16)}
    assert len(written) == 1


def test_fractional_frame_rates_survive(film, tmp_path):
    assert read_video(write_video(Video(film.frames, 30000 / 1001), tmp_path / "a.mp4")).fps == pytest.approx(29.97003)


def test_odd_sides_grow_by_one_pixel(film, tmp_path):
    odd = Video(film.frames[:, :63, :61], 8.0)
    assert read_video(write_video(odd, tmp_path / "a.mp4")).frames.shape == (8, 64, 62, 3)


def test_an_animation_is_a_film_too():
    pictures = [PIL.Image.new("RGB", (8, 6), colour) for colour in ("red", "blue")]
    buffer = io.BytesIO()
    pictures[0].save(buffer, "GIF", save_all=True, append_images=pictures[1:], duration=100)
    read = read_video(buffer.getvalue())
    assert read.frames[:, 3, 4].tolist() == [[255, 0, 0], [0, 0, 255]]


@pytest.mark.parametrize(
    ("size", "limits", "expected"),
    [
        ((64, 32), MediaLimits(frame_short_side_px=16), (16, 32)),
        ((32, 64), MediaLimits(frame_short_side_px=16), (32, 16)),
        ((1280, 720), MediaLimits(), (256, 455)),
        ((1280, 64), MediaLimits(frame_pixels=64 * 320), (32, 640)),
    ],
)
def test_large_frames_are_scaled_down_by_their_shorter_side(size, limits, expected, tmp_path):
    width, height = size
    path = write_video(Video(np.zeros((2, height, width, 3), np.uint8), 8.0), tmp_path / "a.mp4")
    assert read_video(path, limits=limits).frames.shape == (2, *expected, 3)


def write_webm(path: Path, times_ms: list[int]) -> Path:
    """Write a WebM as browsers record it: a time base of 1 ms, no frame rate; frame n is filled with 8 n."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx", rate=1000)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        stream.options = {"qmin": "0", "qmax": "4", "crf": "4", "b": "1M"}
        for index, time_ms in enumerate(times_ms):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 8 * index, np.uint8), format="rgb24")
            frame.pts, frame.time_base = time_ms, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def levels(video: Video) -> list[int]:
    """Return the number that each frame was filled with."""
    return [round(float(frame.mean()) / 8) for frame in video.frames]


def test_a_webm_without_a_frame_rate_lasts_as_long_as_its_time_stamps_say(tmp_path):
    video = read_video(write_webm(tmp_path / "a.webm", [round(1000 * n / 30) for n in range(30)]))
    assert video.fps == pytest.approx(30, rel=0.01) and levels(video) == list(range(30))
    assert video.duration_s == pytest.approx(1, rel=0.02)


def test_a_variable_frame_rate_becomes_constant(tmp_path):
    times_ms = [*range(0, 1000, 100), *range(1000, 2000, 50)]  # 10, then 20 frames per second
    video = read_video(write_webm(tmp_path / "a.webm", times_ms))
    assert video.duration_s == pytest.approx(2, rel=0.05)
    shown = levels(video)
    assert shown[0] == 0 and shown[-1] == 29 and shown == sorted(shown)
    assert abs(shown[len(shown) // 2] - 10) <= 1  # after one second


@pytest.mark.parametrize(
    ("times_s", "nominal", "fps", "indices"),
    [
        ([0, 0.1, 0.2], 10, 10, [0, 1, 2]),
        ([5, 5.1, 5.2], 10, 10, [0, 1, 2]),
        ([0, 0.033, 0.067, 0.1], 1000, 30, [0, 1, 2, 3]),
        ([0, 0.1, 0.2, 2.0], 1000, 1.5, [0, 2, 2, 3]),
        ([0, None, 0.2], 25, 25, [0, 1, 2]),
        ([0, 0, 0], 25, 25, [0, 1, 2]),
        ([0], 25, 25, [0]),
        ([], 25, 25, []),
    ],
)
def test_time_stamps_decide_over_a_nominal_rate(times_s, nominal, fps, indices):
    rate, shown = constant_rate(times_s, nominal)
    assert (rate, shown.tolist()) == (pytest.approx(fps), indices)


def test_a_folder_that_is_missing_is_named(film, tmp_path):
    with pytest.raises(MediaError, match="cannot be written"):
        write_video(film, tmp_path / "nowhere" / "a.mp4")


def test_frames_are_chosen_evenly_with_both_ends():
    assert uniform_indices(16, 4).tolist() == [0, 5, 10, 15]
    assert uniform_indices(2, 4).tolist() == [0, 0, 0, 1]
    assert uniform_indices(1, 3).tolist() == [0, 0, 0]


QUADRANTS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255))
"""Colours of a picture at the top left, top right, bottom left and bottom right."""


def with_display_matrix(content: bytes, a: int, b: int, c: int, d: int) -> bytes:
    """Overwrite the matrix in the track header of an MP4 file (ISO 14496-12, 8.3.2), whose version is 0."""
    start = content.index(b"tkhd") + 44
    values = (a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    return content[:start] + struct.pack(">9i", *values) + content[start + 36 :]


@pytest.mark.parametrize(
    ("matrix", "size", "corners"),
    [
        pytest.param((1, 0, 0, 1), (64, 32), "0123", id="as stored"),
        pytest.param((0, 1, -1, 0), (32, 64), "2031", id="clockwise"),
        pytest.param((-1, 0, 0, -1), (64, 32), "3210", id="upside down"),
        pytest.param((0, -1, 1, 0), (32, 64), "1302", id="counter-clockwise"),
        pytest.param((-1, 0, 0, 1), (64, 32), "1032", id="mirrored"),
        pytest.param((1, 0, 0, -1), (64, 32), "2301", id="flipped"),
        pytest.param((0, 1, 1, 0), (32, 64), "0213", id="transposed"),
        pytest.param((0, -1, -1, 0), (32, 64), "3120", id="transposed along the other diagonal"),
    ],
)
def test_frames_are_turned_and_mirrored_as_the_display_matrix_says(matrix, size, corners, tmp_path):
    """By hand: (x, y) is shown at (a x + c y, b x + d y), as players show it."""
    frames = np.array(QUADRANTS, np.uint8).reshape(1, 2, 2, 3).repeat(16, axis=1).repeat(32, axis=2).repeat(4, axis=0)
    path = write_video(Video(frames, 4.0), tmp_path / "a.mp4")
    path.write_bytes(with_display_matrix(path.read_bytes(), *matrix))
    shown = read_video(path).frames
    width, height = size
    assert shown.shape == (4, height, width, 3)
    colours = [shown[0, y, x] for y in (4, height - 5) for x in (4, width - 5)]
    nearest = [int(np.abs(np.array(QUADRANTS) - colour).sum(axis=1).argmin()) for colour in colours]
    assert "".join(map(str, nearest)) == corners
