"""Damage inside a file: the rest is read, as players do, and what was lost is said."""

from __future__ import annotations

import io
import struct
import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import PIL.Image
import PIL.PngImagePlugin
import pytest
import soundfile

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


def test_damage_that_turns_mono_frames_of_an_mp3_into_stereo_ones_is_skipped(tone: Audio, tmp_path: Path) -> None:
    content = bytearray(encoded(tone, tmp_path / "a.mp3"))
    frame = content.index(content[:2], len(content) // 2)
    assert content[frame + 3] >> 6 == 3  # the channel mode of the header, ISO 11172-3: 3 is mono, 0 stereo
    content[frame + 3] &= 0x3F
    audio = read_audio(bytes(content))
    assert len(audio.samples) == 1
    assert audio.duration_s > 0.9 * SECONDS


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_damaged_and_missing_pages_of_an_ogg_are_said(subtype: str) -> None:
    """Each page has a checksum, and the last one a flag (RFC 3533, section 6); decoders skip in silence."""
    file = io.BytesIO()
    noise = 0.3 * np.random.default_rng(0).normal(size=SECONDS * RATE_HZ).clip(-3, 3)
    soundfile.write(file, noise, RATE_HZ, format="OGG", subtype=subtype)
    content = file.getvalue()
    assert not read_audio(content).damage
    audio = read_audio(damaged(content, 0.6, 100))
    assert audio.duration_s > 0.7 * SECONDS and audio.damage == "1 damaged pages were skipped"
    cut = read_audio(content[: content.rindex(b"OggS")])
    assert cut.duration_s > 0.7 * SECONDS and cut.damage == "it ends before its last page"


@pytest.mark.parametrize("suffix", [".wav", ".aiff", ".au"])
def test_half_a_file_without_frames_is_read_and_said_to_be_cut(tone: Audio, suffix: str) -> None:
    file = io.BytesIO()
    soundfile.write(file, tone.samples[0], RATE_HZ, format=suffix[1:].upper())
    content = file.getvalue()
    assert not read_audio(content).damage
    audio = read_audio(content[: len(content) // 2])
    assert audio.duration_s == pytest.approx(SECONDS / 2, abs=0.1)
    assert audio.damage == f"it ends after {len(content) // 2:,} of {len(content):,} bytes"


def test_a_wav_whose_recorder_was_ended_by_force_is_read(tone: Audio, tmp_path: Path) -> None:
    """Its header states a length of 0."""
    content = bytearray(encoded(tone, tmp_path / "a.wav"))
    start = content.index(b"data") + 4
    content[start : start + 4] = bytes(4)
    audio = read_audio(bytes(content))
    assert audio.duration_s == pytest.approx(SECONDS, abs=0.01) and "states no samples" in audio.damage


def joined(suffix: str, tmp_path: Path) -> bytes:
    """Return two recordings of a second each, written one behind the other into one file."""
    codec = {".ts": "mpeg2video", ".webm": "libvpx"}[suffix]
    path = tmp_path / f"a{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for level in range(25):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 10 * level, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path.read_bytes() * 2


@pytest.mark.parametrize("suffix", [".ts", ".webm"])
def test_both_parts_of_a_joined_video_are_read(suffix: str, tmp_path: Path) -> None:
    """Time stamps begin anew in the second part."""
    video = read_video(joined(suffix, tmp_path))
    levels = np.round(video.frames.mean(axis=(1, 2, 3)) / 10).tolist()
    assert video.fps == pytest.approx(25, rel=0.01)
    assert levels == pytest.approx([*range(25)] * 2, abs=1)


def late_audio(path: Path, start_s: float) -> Path:
    """Write a video of two seconds, whose audio of one second begins later."""
    with av.open(str(path), "w") as container:
        video, audio = container.add_stream("libvpx", rate=10), container.add_stream("libopus", rate=48_000)
        video.width = video.height = 64
        for _ in range(20):
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
        container.mux(video.encode(None))
        tone = 0.5 * np.sin(np.arange(96_000) / 10)
        frame = av.AudioFrame.from_ndarray(np.stack([tone, tone]).astype(np.float32), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, round(48_000 * start_s), Fraction(1, 48_000)
        for piece in av.AudioResampler(audio.format.name, "stereo", 48_000).resample(frame):
            container.mux(audio.encode(piece))
        container.mux(audio.encode(None))
    return path


def test_audio_that_begins_after_its_video_stays_in_time(tmp_path: Path) -> None:
    path = late_audio(tmp_path / "a.webm", 1.0)
    audio = read_video(path).audio
    assert audio is not None and audio.duration_s == pytest.approx(3, abs=0.05)
    first = int(np.argmax(np.abs(audio.samples[0]) > 0.1))
    assert first / audio.sample_rate_hz == pytest.approx(1, abs=0.05)
    alone = read_audio(path)
    assert alone.duration_s == pytest.approx(2, abs=0.05) and not alone.damage


@pytest.mark.parametrize(("factor", "peak"), [(0.5, 0.25), (4.0, 1.0), (2.0**15, 0.5), (2.0**31, 0.5), (2.0**40, 1.0)])
def test_float_samples_of_the_range_of_integers_are_scaled(factor: float, peak: float) -> None:
    file = io.BytesIO()
    soundfile.write(file, 0.5 * factor * np.sin(np.arange(8000) / 7), RATE_HZ, format="WAV", subtype="FLOAT")
    samples = read_audio(file.getvalue()).samples
    assert float(np.abs(samples).max()) == pytest.approx(peak, rel=1e-3)


NOISE = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)


def decoded_share(content: bytes) -> tuple[float, str]:
    """Return the share of rows that are as they should be, and the damage."""
    image = read_image(content)
    rows = np.abs(np.asarray(image.image).astype(int) - NOISE).mean(axis=(1, 2)) < 40
    return float(rows.mean()), image.damage


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [("JPEG", {"quality": 95, "subsampling": 0}, "end early"), ("PNG", {}, "% of its pixels")],
)
def test_the_upper_part_of_a_truncated_image_is_shown(kind: str, options: dict[str, int], said: str) -> None:
    file = io.BytesIO()
    PIL.Image.fromarray(NOISE).save(file, kind, **options)
    content = file.getvalue()
    assert decoded_share(content) == (1.0, "")
    share, damage = decoded_share(content[: int(0.6 * len(content))])
    assert 0.45 < share < 0.65 and said in damage


def test_bad_bytes_in_a_png_leave_what_stands_before_them() -> None:
    file = io.BytesIO()
    PIL.Image.fromarray(NOISE // 64 * 64).save(file, "PNG")
    content = file.getvalue()
    image = read_image(damaged(content, 0.7, 50))
    rows = (np.asarray(image.image) == NOISE // 64 * 64).all(axis=(1, 2))
    assert 0.5 < rows.mean() < 0.8 and image.damage.startswith("only ")


RAMP = np.linspace(0, 1, 64).reshape(8, 8)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param((RAMP * 65_535).astype(np.uint16), id="16 bits"),
        pytest.param((RAMP * 16_383).astype(np.uint16), id="14 bits in 16"),
        pytest.param((RAMP * 4_095).astype(np.uint16), id="12 bits in 16"),
        pytest.param((RAMP * 1_023).astype(np.uint16), id="10 bits in 16"),
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


ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def interlaced_png(grey: np.ndarray) -> bytes:
    """Return a PNG of seven passes, each of every so many columns and rows (PNG specification, section 8.2)."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    rows = [b"\0" + row.tobytes() for x, y, dx, dy in ADAM7 for row in grey[y::dy, x::dx]]
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *grey.shape[::-1], 8, 0, 0, 0, 1))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"".join(rows))) + chunk(b"IEND", b"")


def test_what_is_there_of_a_truncated_interlaced_png_is_shown() -> None:
    """All passes but the last have every pixel of the even rows."""
    grey = NOISE[:61, :53, 0]
    content = interlaced_png(grey)
    assert (np.asarray(read_image(content).image)[..., 0] == grey).all()
    image = read_image(content[: int(0.6 * len(content))])
    assert (np.asarray(image.image)[::2, :, 0] == grey[::2]).all() and image.damage.startswith("only ")
