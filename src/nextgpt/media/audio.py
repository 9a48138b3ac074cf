"""Read, write and resample audio: soundfile for plain formats, FFmpeg (PyAV) for all others."""

from __future__ import annotations

import io
import struct
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile
import soxr

from nextgpt.errors import MediaError, MissingStreamError
from nextgpt.media.limits import Deadline, MediaLimits, check_audio_size, media_error
from nextgpt.media.ogg import link_starts, ogg_damage, read_pages
from nextgpt.media.open_media import OpenSource, open_source
from nextgpt.media.samples import clean_samples
from nextgpt.media.save_media import WRITER, with_default_suffix, wrap_write_errors
from nextgpt.media.types import Audio, MediaSource

# MP3 goes through FFmpeg: libsndfile's decoder prints warnings about damaged files.
_PLAIN_FORMATS = {"wav", "flac", "aiff", "au", "caf"}
_WRITE_FORMATS = {".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG", ".mp3": "MP3"}
_BLOCK_SAMPLES = 1 << 18
MAX_LINKS = 256
"""Links of a chained Ogg file that are read."""
# Reported by libsndfile for streams of unknown length.
_UNKNOWN_LENGTH = 1 << 62
_MAX_STATED_BYTES = 0x7FFF0000


def read_audio(source: MediaSource, *, limits: MediaLimits | None = None) -> Audio:
    """Read audio, or the audio of a video, at its own sample rate and with its own channels.

    Raises:
        MediaError: The file holds no audio, is damaged before its first sample, or larger than ``limits``.
    """
    limits = limits or MediaLimits.default()
    with open_source(source, limits, "audio") as opened:
        if opened.type.name == "ogg":
            audio: Audio | None = _read_ogg(opened, limits)
        elif opened.type.name in _PLAIN_FORMATS:
            audio = _read_plain(opened, limits)
        else:
            audio = _read_with_ffmpeg(opened, limits)
        if audio is None or audio.samples.shape[-1] == 0:
            raise media_error(opened.name, "holds no audio", "at least one sample", "Check that it was copied whole.")
        return audio


def _read_plain(opened: OpenSource, limits: MediaLimits) -> Audio:
    deadline = Deadline(opened.name, limits)
    try:
        with soundfile.SoundFile(_ClampedSeekStream(opened.stream)) as file:
            announced = file.frames if file.frames < _UNKNOWN_LENGTH else 0
            check_audio_size(opened.name, announced, file.channels, file.samplerate, limits)
            blocks: list[np.ndarray] = []
            count = 0
            while len(block := file.read(_BLOCK_SAMPLES, dtype="float32", always_2d=True)):
                blocks.append(block.T)
                count += len(block)
                check_audio_size(opened.name, count, file.channels, file.samplerate, limits)
                deadline.check()
            if not blocks:  # a recorder that was ended by force leaves a length of 0 in the header
                return _read_damaged(opened, limits, ValueError("its header states no samples"))
            audio = Audio(clean_samples(np.concatenate(blocks, axis=1)), file.samplerate)
            return audio.note_damage(_truncation(opened.stream))
    except MediaError:
        raise
    except (soundfile.SoundFileError, RuntimeError, ValueError, TypeError, OverflowError, MemoryError) as error:
        return _read_damaged(opened, limits, error)


def _truncation(stream: io.BufferedIOBase) -> str:
    """Say whether a WAV, AIFF or AU file is shorter than its header states; libsndfile does not."""
    stream.seek(0)
    magic, *lengths = struct.unpack("<4s4s4s", stream.read(12))
    order: Literal["little", "big"] = "little" if magic == b"RIFF" else "big"
    first, second = (int.from_bytes(length, order) for length in lengths)
    stated = {b"RIFF": first + 8, b"RIFX": first + 8, b"FORM": first + 8, b".snd": first + second}.get(magic, 0)
    size = stream.seek(0, io.SEEK_END)
    # Programs that write to a pipe state a length near 2^31 or 2^32; the last byte may be padding.
    is_truncated = size + 1 < stated < _MAX_STATED_BYTES
    return f"it ends after {size:,} of {stated:,} bytes" if is_truncated else ""


def _read_damaged(opened: OpenSource, limits: MediaLimits, reason: Exception) -> Audio:
    """Read with FFmpeg, which skips damage, what libsndfile refused for ``reason``."""
    opened.stream.seek(0)
    try:
        audio = _read_with_ffmpeg(opened, limits)
    except MissingStreamError:
        raise
    except MediaError:
        audio = None
    if audio is None or not audio.samples.size:
        raise media_error(
            opened.name,
            f"is {opened.type.label} that cannot be decoded ({reason})",
            "a complete audio file",
            "Check that it was copied whole, or convert it to WAV.",
        ) from reason
    return audio.note_damage(audio.damage or f"it is damaged ({str(reason).rstrip('.')})")


def _read_with_ffmpeg(opened: OpenSource, limits: MediaLimits) -> Audio | None:
    from nextgpt.media.ffmpeg import decode_container

    decoded = decode_container(opened, limits, modality="audio")
    return decoded.audio and decoded.audio.note_damage(decoded.damage)


def _read_ogg(opened: OpenSource, limits: MediaLimits) -> Audio:
    """Read an Ogg file; chained ones have several streams one after another, as web radio writes them.

    libsndfile and FFmpeg read the first link only, and do not say which pages they skipped.
    """
    content = opened.stream.read()
    opened.stream.seek(0)
    pages = list(read_pages(content))
    starts = link_starts(pages)
    if len(starts) < 2:
        audio = _read_plain(opened, limits)
        return audio.note_damage(ogg_damage(pages) or audio.damage)
    ends = [*starts[1:], len(content)]
    links = [
        _read_plain(replace(opened, stream=io.BytesIO(content[start:end])), limits)
        for start, end in zip(starts[:MAX_LINKS], ends, strict=False)
    ]
    first = links[0]
    pieces = [first.samples]
    for link in links[1:]:
        same_rate = resample(link, first.sample_rate_hz)
        fits = len(same_rate.samples) == len(first.samples)
        pieces.append(same_rate.samples if fits else np.repeat(to_mono(same_rate).samples, len(first.samples), axis=0))
        check_audio_size(opened.name, sum(p.shape[1] for p in pieces), len(first.samples), first.sample_rate_hz, limits)
    damage = [ogg_damage(pages), *(link.damage for link in links)]
    audio = Audio(np.concatenate(pieces, axis=1), first.sample_rate_hz)
    return audio.note_damage("; ".join(dict.fromkeys(filter(None, damage))))


class _ClampedSeekStream:
    """A stream that clamps seeks to its size: soundfile prints a traceback if its stream raises."""

    def __init__(self, stream: io.BufferedIOBase) -> None:
        self._stream = stream
        self.readinto, self.tell = stream.readinto, stream.tell
        self._size = stream.seek(0, io.SEEK_END)
        stream.seek(0)

    def __repr__(self) -> str:
        return "the file"  # stands in soundfile's messages

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._stream.tell(), io.SEEK_END: self._size}[whence]
        return self._stream.seek(min(max(base + offset, 0), self._size))


def write_audio(audio: Audio, path: str | Path) -> Path:
    """Write audio in the format of the suffix, 16-bit WAV if there is none; return the path.

    Raises:
        MediaError: The suffix is no audio format that can be written, or the format does not support rate or channels.
    """
    path = with_default_suffix(path, _WRITE_FORMATS, default=".wav")
    try:
        with (
            wrap_write_errors(path),
            soundfile.SoundFile(
                path, "w", audio.sample_rate_hz, len(audio.samples), format=_WRITE_FORMATS[path.suffix.lower()]
            ) as file,
        ):
            if path.suffix.lower() != ".mp3":
                file.software = WRITER
            file.write(clean_samples(audio.samples).T)
    except soundfile.SoundFileError as error:
        raise media_error(
            path.name,
            f"cannot be written ({error})",
            "an existing folder, and a format that supports this rate and these channels",
            "Check the folder, write WAV, or resample the audio.",
        ) from error
    return path


def resample(audio: Audio, sample_rate_hz: int) -> Audio:
    """Resample with soxr's high-quality filter; returns the same object if the rate is right already."""
    if audio.sample_rate_hz == sample_rate_hz:
        return audio
    samples = soxr.resample(audio.samples.T, audio.sample_rate_hz, sample_rate_hz, quality="HQ")
    return Audio(np.ascontiguousarray(samples.T, dtype=np.float32), sample_rate_hz)


def to_mono(audio: Audio) -> Audio:
    """Average the channels; returns the same object if there is only one."""
    if len(audio.samples) == 1:
        return audio
    return Audio(audio.samples.mean(axis=0, keepdims=True, dtype=np.float32), audio.sample_rate_hz)
