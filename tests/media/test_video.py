"""Films: read with their sound, written so that browsers play them."""

from __future__ import annotations

import io

import av
import numpy as np
import PIL.Image
import pytest

from nextgpt.errors import MediaError
from nextgpt.media import MediaLimits, read_video, uniform_indices, write_video
from nextgpt.message import Video


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


def test_fractional_frame_rates_survive(film, tmp_path):
    assert read_video(write_video(Video(film.frames, 30000 / 1001), tmp_path / "a.mp4")).fps == pytest.approx(
        29.97003
    )


def test_odd_sides_grow_by_one_pixel(film, tmp_path):
    odd = Video(film.frames[:, :63, :61], 8.0)
    assert read_video(write_video(odd, tmp_path / "a.mp4")).frames.shape == (8, 64, 62, 3)


def test_an_animation_is_a_film_too():
    pictures = [PIL.Image.new("RGB", (8, 6), colour) for colour in ("red", "blue")]
    buffer = io.BytesIO()
    pictures[0].save(buffer, "GIF", save_all=True, append_images=pictures[1:], duration=100)
    read = read_video(buffer.getvalue())
    assert read.frames[:, 3, 4].tolist() == [[255, 0, 0], [0, 0, 255]]


def test_large_frames_are_scaled_down_while_they_are_read(film, tmp_path):
    path = write_video(Video(film.frames[:, :32], 8.0), tmp_path / "a.mp4")
    assert read_video(path, limits=MediaLimits(frame_side_px=16)).frames.shape == (8, 8, 16, 3)


def test_a_film_without_frames_is_refused(tmp_path):
    with pytest.raises(MediaError, match="has no frame"):
        write_video(Video(np.zeros((0, 8, 8, 3), np.uint8), 8.0), tmp_path / "a.mp4")


def test_a_folder_that_is_missing_is_named(film, tmp_path):
    with pytest.raises(MediaError, match="cannot be written"):
        write_video(film, tmp_path / "nowhere" / "a.mp4")


def test_frames_are_chosen_evenly_with_both_ends():
    assert uniform_indices(16, 4).tolist() == [0, 5, 10, 15]
    assert uniform_indices(2, 4).tolist() == [0, 0, 0, 1]
    assert uniform_indices(1, 3).tolist() == [0, 0, 0]
