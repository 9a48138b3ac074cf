"""Damage inside a file: the rest is read, as players do, and what was lost is said."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.PngImagePlugin
import pytest

from nextgpt.errors import MediaError
from nextgpt.media import read_audio, read_image, read_video
from nextgpt.media.file_types import sniff
from nextgpt.message import Audio, Conversation, Video, damage_warnings

SECONDS = 6
RATE_HZ = 16_000


@pytest.fixture(scope="module")
def tone() -> Audio:
    samples = 0.5 * np.sin(2 * np.pi * 440 * np.arange(SECONDS * RATE_HZ) / RATE_HZ)
    return Audio(samples.astype(np.float32), RATE_HZ)


def encoded(medium: Audio | Video, path: Path) -> bytes:
    return medium.save(path).read_bytes()


def damaged(content: bytes, start: float, count: int = 400) -> bytes:
    """Overwrite bytes at a share of the file."""
    position = int(start * len(content))
    noise = np.random.default_rng(0).integers(0, 256, count, dtype=np.uint8).tobytes()
    return content[:position] + noise + content[position + count :]


@pytest.mark.parametrize("start", [0.25, 0.6])
def test_bad_bytes_in_an_mp3_cost_no_more_than_themselves(tone: Audio, tmp_path: Path, start: float) -> None:
    """Before, everything after the first bad frame was lost."""
    audio = read_audio(damaged(encoded(tone, tmp_path / "a.mp3"), start))
    assert audio.duration_s > 0.9 * SECONDS
    assert "damaged packets were skipped" in audio.damage


def test_a_bad_first_frame_of_an_mp3_is_skipped(tone: Audio, tmp_path: Path) -> None:
    content = encoded(tone, tmp_path / "a.mp3")
    start = content.index(b"\xff", 200)  # behind the header frame
    audio = read_audio(content[: start + 4] + bytes(200) + content[start + 204 :])
    assert audio.duration_s > 0.9 * SECONDS


def test_bad_bytes_in_a_video_cost_few_frames(tone: Audio, tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (48, 64, 64, 3), dtype=np.uint8)
    content = encoded(Video(frames, 8.0, tone), tmp_path / "a.mp4")
    video = read_video(damaged(content, 0.4))
    assert len(video.frames) > 40
    assert video.audio is not None


def test_half_a_flac_is_read_and_said_to_be_cut(tone: Audio, tmp_path: Path) -> None:
    content = encoded(tone, tmp_path / "a.flac")
    audio = read_audio(content[: len(content) // 2])
    assert 0.3 * SECONDS < audio.duration_s < 0.7 * SECONDS
    assert audio.damage
    assert damage_warnings(Conversation().with_message(["?", audio])) == (f"audio 1: {audio.damage}",)


def test_all_links_of_a_chained_ogg_are_read(tone: Audio, tmp_path: Path) -> None:
    link = encoded(tone, tmp_path / "a.ogg")
    audio = read_audio(link + link)
    assert audio.duration_s == pytest.approx(2 * SECONDS, abs=0.1)
    assert not audio.damage


def test_a_flac_behind_an_id3_tag_is_a_flac(tone: Audio, tmp_path: Path) -> None:
    tag = b"ID3\x04\x00\x00" + bytes([0, 0, 40, 0]) + bytes(40 << 7)  # a synchsafe size of 5,120
    content = tag + encoded(tone, tmp_path / "a.flac")
    found = sniff(content)
    assert found is not None and found.name == "flac"
    assert read_audio(io.BytesIO(content)).duration_s == pytest.approx(SECONDS)


def test_whole_files_have_no_damage(tone: Audio, tmp_path: Path) -> None:
    for suffix in (".wav", ".mp3", ".flac", ".ogg"):
        assert read_audio(encoded(tone, tmp_path / f"a{suffix}")).damage == ""
    video = Video(np.zeros((8, 32, 32, 3), np.uint8), 8.0)
    assert read_video(encoded(video, tmp_path / "a.mp4")).damage == ""


RAMP = np.linspace(0, 1, 64).reshape(8, 8)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param((RAMP * 65_535).astype(np.uint16), id="16 bits"),
        pytest.param((RAMP * 4_095).astype(np.uint16), id="12 bits in 16"),
        pytest.param((RAMP * 65_535).astype(np.int32), id="16 bits in int32"),
        pytest.param((RAMP * 2**30).astype(np.int32), id="int32"),
        pytest.param(RAMP.astype(np.float32), id="float to 1"),
        pytest.param((RAMP * 255).astype(np.float32), id="float to 255"),
        pytest.param((RAMP * 300 - 20).astype(np.float32), id="float of any range"),
    ],
)
def test_grey_of_any_depth_goes_from_black_to_white(values: np.ndarray) -> None:
    """Before, int32 and floats were black, and 12 bits in 16 nearly so."""
    file = io.BytesIO()
    PIL.Image.fromarray(values).save(file, "TIFF")
    grey = np.asarray(read_image(file.getvalue()).image)[..., 0]
    np.testing.assert_allclose(grey.ravel(), RAMP.ravel() * 255, atol=2)


def test_large_texts_and_profiles_in_a_png_do_not_matter() -> None:
    """Pillow refuses texts of more than 1 MiB."""
    info = PIL.PngImagePlugin.PngInfo()
    info.add_text("history", "x" * 5_000_000, zip=True)
    info.add_itxt("notes", "y" * 3_000_000, zip=True)
    file = io.BytesIO()
    PIL.Image.new("RGB", (8, 8), "red").save(file, "PNG", pnginfo=info, icc_profile=bytes(4_000_000))
    assert read_image(file.getvalue()).image.getpixel((0, 0)) == (255, 0, 0)


def test_an_unreadable_image_says_why() -> None:
    """Before, the reason was "('MPO')", which is no format of its own for Pillow."""
    with pytest.raises(MediaError, match=r"is a JPEG image that cannot be decoded \(its structure is damaged\)"):
        read_image(b"\xff\xd8\xff no picture")
