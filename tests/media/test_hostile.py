"""Truncated, empty, mislabelled, huge and hostile files: a clear error in bounded time and memory."""

from __future__ import annotations

import io
import os
import random
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from nextgpt.errors import MediaError
from nextgpt.media import MediaLimits, read_audio, read_image, read_video, write_audio, write_image, write_video
from nextgpt.media.limits import Deadline, DeadlineStream

READERS: dict[str, Callable] = {"image": read_image, "audio": read_audio, "video": read_video}
OUR_PATIENCE_S = 5.0
OUR_MEMORY_BYTES = 64 * 1024**2


@pytest.fixture
def files(picture, sound, film, tmp_path) -> dict[str, Path]:
    """One good file of every kind, by suffix."""
    written = [write_image(picture, tmp_path / f"good.{s}") for s in ("png", "jpg", "gif", "webp", "bmp", "tiff")]
    written += [write_audio(sound, tmp_path / f"good.{s}") for s in ("wav", "flac", "ogg", "mp3")]
    written += [write_video(film, tmp_path / f"good.{s}") for s in ("mp4", "webm", "mkv")]
    return {path.suffix[1:]: path for path in written}


def modality_of(suffix: str) -> str:
    if suffix in ("mp4", "webm", "mkv"):
        return "video"
    return "audio" if suffix in ("wav", "flac", "ogg", "mp3") else "image"


def assert_refused(read: Callable, source: object, *words: str, **options: object) -> str:
    """Refused soon, with little memory, in three parts that hold ``words``."""
    tracemalloc.start()
    begun = time.process_time()
    with pytest.raises(MediaError) as caught:
        read(source, **options)
    assert time.process_time() - begun < OUR_PATIENCE_S
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < OUR_MEMORY_BYTES
    message = str(caught.value)
    assert "expected" in message and message.endswith(".") and len(message) < 500
    for word in words:
        assert word in message
    return message


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises a size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1 << 20), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(50_000, 50_000), (10_000, 10_000), (2**31 - 1, 2**31 - 1)])
def test_a_picture_that_would_fill_the_memory_is_refused_by_its_header(width, height):
    assert_refused(read_image, png_header(width, height), "pixels", "pixels")


def test_an_hour_of_sound_is_refused_by_its_header(tmp_path):
    path = tmp_path / "hour.flac"
    with soundfile.SoundFile(path, "w", 8000, 1) as file:
        for _ in range(60):
            file.write(np.zeros(8000 * 60, np.int16))
    assert_refused(read_audio, path, "hour.flac lasts 3,600 s", "at most 600 s", "duration_s")


def test_a_header_that_promises_hours_is_refused():
    good = io.BytesIO()
    soundfile.write(good, np.zeros(100), 8000, format="AU")
    content = bytearray(good.getvalue())
    content[16:20] = struct.pack(">I", 1)  # one sample a second: 100 s, were it true
    assert_refused(read_audio, bytes(content), "1 samples per second")


def test_many_channels_count_too():
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros((1000, 64)), 8000, format="WAV")
    assert_refused(read_audio, buffer.getvalue(), "64 channel(s)", limits=MediaLimits(samples=10_000))


def long_film(path: Path, frames: int, options: dict[str, str]) -> Path:
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 16
        picture = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
        for index in range(frames):
            picture.pts = index
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def test_a_film_of_ten_thousand_frames_is_refused_by_its_header(tmp_path):
    path = long_film(tmp_path / "long.mp4", 10_000, {})
    assert_refused(read_video, path, "long.mp4 has 10,000 frames", "at most 1,200")


def test_frames_are_counted_where_the_header_does_not_say(tmp_path):
    path = long_film(tmp_path / "long.mkv", 50, {})
    assert_refused(read_video, path, "has 21 frames or more", limits=MediaLimits(frames=20))


def test_large_frames_are_refused_before_they_are_decoded(film, tmp_path):
    path = write_video(film, tmp_path / "a.mp4")
    assert_refused(read_video, path, "frames of 64 x 64 pixels", limits=MediaLimits(pixels=1000))


def test_a_long_film_is_refused_by_its_header(film, tmp_path):
    path = write_video(film, tmp_path / "a.mp4")
    assert_refused(read_video, path, "lasts 1 s", limits=MediaLimits(duration_s=0.5))


@pytest.mark.parametrize("modality", READERS)
def test_an_empty_file_is_refused(modality, tmp_path):
    path = tmp_path / "empty.bin"
    path.touch()
    for source in (path, b"", io.BytesIO()):
        assert_refused(READERS[modality], source, "is empty")


@pytest.mark.parametrize("modality", READERS)
def test_a_file_over_the_limit_is_not_even_opened(modality, tmp_path):
    path = tmp_path / "sparse.bin"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    assert_refused(READERS[modality], path, "larger than 256 MiB")
    with path.open("rb") as file:
        assert_refused(READERS[modality], file, "larger than 1 MiB", limits=MediaLimits(size_bytes=1024**2))


@pytest.mark.parametrize("modality", READERS)
@pytest.mark.parametrize("content", [b"hello world", b"\0" * 5000, b"<svg onload='x'>", b"%PDF-1.7", b"PK\3\4..."])
def test_another_kind_of_file_is_refused(modality, content):
    assert_refused(READERS[modality], content, "expected a")


@pytest.mark.parametrize(
    ("suffix", "modality", "words"),
    [
        ("wav", "image", ("is an audio file (WAV)", "Send it as audio.")),
        ("mp4", "image", ("is a video (MP4)", "Send it as video.")),
        ("png", "audio", ("is a PNG image", "Send it as image.")),
        ("jpg", "video", ("is a JPEG image", "Send it as image.")),
        ("mp3", "video", ("is an audio file (MP3)", "Send it as audio.")),
    ],
)
def test_a_file_given_as_another_modality_says_what_it_is(files, suffix, modality, words):
    assert_refused(READERS[modality], files[suffix], f"good.{suffix}", *words)


@pytest.mark.parametrize("modality", READERS)
def test_what_is_no_file_is_refused(modality, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    read = READERS[modality]
    assert_refused(read, tmp_path, "is a folder")
    assert_refused(read, tmp_path / "pipe", "is no regular file")
    assert_refused(read, "/dev/zero", "is no regular file")
    assert_refused(read, tmp_path / "nothing.png", "cannot be opened")
    assert_refused(read, "nul\0byte", "cannot be opened")
    assert_refused(read, "x" * 100_000, "cannot be opened")
    assert_refused(read, "http://localhost/cat.png", "cannot be opened")
    assert_refused(read, io.StringIO("text"), "open as text")


PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.wav\n"
SCRIPT = b"ffconcat version 1.0\nfile secret.wav\n"


@pytest.mark.parametrize("content", [PLAYLIST, SCRIPT])
def test_playlists_open_no_other_file(content, sound, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_audio(sound, "secret.wav")
    assert_refused(read_audio, content, "a playlist")


def test_a_container_that_hides_a_playlist_is_not_guessed_at(sound, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_audio(sound, "secret.wav")
    # MP4 by its first bytes, a script to a guessing demuxer.
    assert_refused(read_audio, b"\0\0\0\x08free" + SCRIPT * 20)


SUFFIXES = ("png", "jpg", "gif", "webp", "bmp", "tiff", "wav", "flac", "ogg", "mp3", "mp4", "webm", "mkv")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_truncated_file_is_read_up_to_there_or_refused(files, suffix):
    content = files[suffix].read_bytes()
    for share in (0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99):
        read_or_refuse(suffix, content[: max(1, int(len(content) * share))])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_damaged_file_is_read_or_refused(files, suffix):
    dice = random.Random(suffix)
    content = files[suffix].read_bytes()
    for _ in range(25):
        damaged = bytearray(content)
        for _ in range(dice.choice((1, 4, 32))):
            # Half of the damage in the first bytes, where the sizes are.
            place = dice.randrange(min(128, len(damaged)) if dice.random() < 0.5 else len(damaged))
            damaged[place] = dice.choice((0, 0xFF, 0x7F, dice.randrange(256)))
        read_or_refuse(suffix, bytes(damaged))


def read_or_refuse(suffix: str, content: bytes) -> None:
    begun = time.process_time()
    try:
        medium = READERS[modality_of(suffix)](content)
    except MediaError as error:
        assert "expected" in str(error)
    else:
        assert medium.modality == modality_of(suffix)
    assert time.process_time() - begun < OUR_PATIENCE_S


def test_a_truncated_picture_of_which_nothing_can_be_shown_says_so(files):
    content = files["webp"].read_bytes()
    assert_refused(read_image, content[: len(content) // 2], "WEBP image that cannot be decoded", "copied whole")


def test_a_decoder_that_reads_on_and_on_is_stopped(files):
    stream = DeadlineStream(io.BytesIO(b"x" * 100), Deadline("slow.gif", MediaLimits(time_s=0.0)))
    time.sleep(0.01)
    assert_refused(lambda source: source.read(1), stream, "slow.gif was still being decoded", "time_s")


@pytest.mark.parametrize("suffix", ["png", "flac", "mp4"])
def test_every_reader_keeps_to_its_time(files, suffix):
    limits = MediaLimits(time_s=-1.0)
    assert_refused(READERS[modality_of(suffix)], files[suffix], "still being decoded", limits=limits)


def test_another_file_is_read_after_all_that(files):
    with pytest.raises(MediaError):
        read_image(b"broken")
    assert read_image(files["png"]).image.size == (40, 24)
