"""Tell what a file really is by its first bytes; names and suffixes are not believed."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class FileType:
    """A type of file."""

    name: str
    """Short name, ``"png"``."""
    label: str
    """For messages, ``"a PNG picture"``."""
    holds: tuple[str, ...]
    """Modalities that such a file may hold, the usual one first; empty where it is none of ours."""
    demuxer: str | None = None
    """FFmpeg's name. It is always given, so that FFmpeg never guesses: playlists and scripts, which could make it
    open other files, stay closed."""


def _image(name: str, *holds: str, demuxer: str | None = None) -> FileType:
    return FileType(name, f"a {name.upper()} picture", ("image", *holds), demuxer)


def _audio(name: str, demuxer: str | None = None) -> FileType:
    return FileType(name, f"a sound ({name.upper()})", ("audio",), demuxer or name)


def _video(name: str, demuxer: str | None = None) -> FileType:
    return FileType(name, f"a film ({name.upper()})", ("video", "audio"), demuxer or name)


def _other(name: str, label: str) -> FileType:
    return FileType(name, label, ())


# Tried in order; a pattern is matched at the first byte.
_SIGNATURES: tuple[tuple[bytes, FileType], ...] = (
    (rb"\x89PNG\r\n\x1a\n", _image("png")),
    (rb"\xff\xd8\xff", _image("jpeg")),
    (rb"GIF8[79]a", _image("gif", "video", demuxer="gif")),
    (rb"RIFF....WEBP", _image("webp")),
    (rb"BM....\0\0\0\0", _image("bmp")),
    (rb"II\*\0|MM\0\*", _image("tiff")),
    (rb"P[1-6]\s", _image("ppm")),
    (rb"....ftyp(avif|avis|mif1.{4,32}avif)", _image("avif")),
    (
        rb"....ftyp(heic|heix|hevc|mif1|msf1)",
        _other("heic", "a HEIC picture, which this program cannot read"),
    ),
    (rb"....ftyp(M4A |M4B )", _audio("m4a", "mov")),
    (rb"....(ftyp|moov|mdat|wide|free)", _video("mp4", "mov")),
    (rb"\x1aE\xdf\xa3", _video("webm", "matroska")),
    (rb"RIFF....AVI ", _video("avi")),
    (rb"FLV\x01", _video("flv")),
    (rb"\x00\x00\x01\xba", _video("mpeg")),
    (rb"\x47.{187}\x47.{187}\x47", _video("mpegts")),
    (rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", _video("asf")),
    (rb"(RIFF|RF64|RIFX)....WAVE", _audio("wav")),
    (rb"fLaC", _audio("flac")),
    (rb"OggS.{24,60}\x80theora", _video("ogg")),
    (rb"OggS", _audio("ogg")),
    (rb"FORM....AIF[FC]", _audio("aiff")),
    (rb"\.snd", _audio("au")),
    (rb"caff", _audio("caf")),
    (rb"ADIF|\xff[\xf0\xf1\xf8\xf9]", _audio("aac")),
    (rb"ID3|\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff]", _audio("mp3")),
    (rb"%PDF", _other("pdf", "a PDF document")),
    (rb"PK\x03\x04", _other("zip", "a ZIP archive")),
    (rb"\x1f\x8b", _other("gzip", "a gzip archive")),
    (rb"\x7fELF|MZ", _other("program", "a program")),
    (rb"#EXTM3U|ffconcat", _other("playlist", "a playlist, which could name any file")),
    (rb"\s*<(\?xml|svg|!DOCTYPE|!doctype|html|HTML)", _other("markup", "an SVG, HTML or XML document")),
)
_PATTERNS = tuple((re.compile(pattern, re.DOTALL), kind) for pattern, kind in _SIGNATURES)


def sniff(head: bytes) -> FileType | None:
    """Name the type of a file from its first bytes (4 KiB are plenty); ``None`` when they match no known type."""
    return next((kind for pattern, kind in _PATTERNS if pattern.match(head)), None)
