"""Read, write and resample audio: soundfile for plain formats, FFmpeg (PyAV) for all others."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
import soxr

from nextgpt.errors import MediaError, MissingStreamError
from nextgpt.media.limits import Deadline, MediaLimits, check_audio_size, clean_samples, media_error
from nextgpt.media.open_media import OpenSource, open_source
from nextgpt.media.save_media import WRITER, with_default_suffix, wrap_write_errors
from nextgpt.media.types import Audio, MediaSource

# MP3 goes through FFmpeg: libsndfile's decoder prints warnings about damaged files.
_PLAIN_FORMATS = {"wav", "flac", "ogg", "aiff", "au", "caf"}
_WRITE_FORMATS = {".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG", ".mp3": "MP3"}
_BLOCK_SAMPLES = 1 << 18
MAX_LINKS = 256
"""Links of a chained Ogg file that are read."""
# Reported by libsndfile for streams of unknown length.
_UNKNOWN_LENGTH = 1 << 62


def read_audio(source: MediaSource, *, limits: MediaLimits | None = None) -> Audio:
    """Read audio, or the audio of a video, at its own sample rate and with its own channels.

    Raises:
        MediaError: The file holds no audio, is damaged before its first sample, or larger than ``limits``.
    """
    limits = limits or MediaLimits.default()
    with open_source(source, limits, "audio") as opened:
        audio = _read_links(opened, limits) if opened.type.name == "ogg" else None
        if audio is None and opened.type.name in _PLAIN_FORMATS:
            audio = _read_plain(opened, limits)
        elif audio is None:
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
                blocks.append(clean_samples(block.T))
                count += len(block)
                check_audio_size(opened.name, count, file.channels, file.samplerate, limits)
                deadline.check()
            samples = np.concatenate(blocks, axis=1) if blocks else np.zeros((file.channels, 0), np.float32)
            return Audio(samples, file.samplerate)
    except MediaError:
        raise
    except (soundfile.SoundFileError, RuntimeError, ValueError, TypeError, OverflowError, MemoryError) as error:
        return _read_damaged(opened, limits, error)


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


def _read_links(opened: OpenSource, limits: MediaLimits) -> Audio | None:
    """Read a chained Ogg file, several streams one after another as web radio writes them; None if it is not chained.

    libsndfile and FFmpeg read the first link only.
    """
    content = opened.stream.read()
    opened.stream.seek(0)
    starts = _link_starts(content)
    if len(starts) < 2:
        return None
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
    damage = "; ".join(dict.fromkeys(link.damage for link in links if link.damage))
    return Audio(np.concatenate(pieces, axis=1), first.sample_rate_hz).note_damage(damage)


def _link_starts(content: bytes) -> list[int]:
    """Return the offsets of the first pages of an Ogg file's links (RFC 3533, section 6)."""
    starts: list[int] = []
    position, was_first = 0, False
    while (position := content.find(b"OggS", position)) >= 0 and position + 27 <= len(content):
        is_first = bool(content[position + 5] & 2)
        if is_first and not was_first:
            starts.append(position)
        was_first = is_first
        num_segments = content[position + 26]
        position += 27 + num_segments + sum(content[position + 27 : position + 27 + num_segments])
    return starts


class _ClampedSeekStream:
    """A stream that clamps seeks to its size: soundfile prints a traceback if its stream raises."""

    def __init__(self, stream: io.BufferedIOBase) -> None:
        self._stream = stream
        self.readinto, self.tell = stream.readinto, stream.tell
        self._size = stream.seek(0, io.SEEK_END)
        stream.seek(0)

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
