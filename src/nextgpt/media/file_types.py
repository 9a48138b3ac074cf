"""The one table of file types: name, modality, suffixes, MIME type, and the first bytes that identify each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

SNIFFED_BYTES = 4096
"""Bytes at the start of a file that identify its type."""


@dataclass(frozen=True)
class FileType:
    """A type of file."""

    name: str
    """Short name, e.g. ``"png"``."""
    label: str
    """Noun phrase for messages, e.g. ``"a PNG image"``."""
    signature: bytes
    """Regular expression that the first bytes match."""
    modalities: tuple[str, ...] = ()
    """Modalities that such a file may hold, the usual one first; empty if it holds no medium."""
    suffixes: tuple[str, ...] = ()
    """File suffixes with their dot, the usual one first."""
    mime: str = "application/octet-stream"
    demuxer: str | None = None
    """FFmpeg's name. Always passed to FFmpeg, so that it never guesses the format: playlists and scripts, which could
    make it open other files, stay closed."""


def _image(name: str, signature: bytes, suffixes: str, *others: str, demuxer: str | None = None) -> FileType:
    label = f"a{'n' if name == 'avif' else ''} {name.upper()} image"
    modalities = ("image", *others)
    return FileType(name, label, signature, modalities, tuple(suffixes.split()), f"image/{name}", demuxer)


def _audio(name: str, signature: bytes, suffixes: str, mime: str = "", demuxer: str | None = None) -> FileType:
    mime = f"audio/{mime or name}"
    label = f"an audio file ({name.upper()})"
    return FileType(name, label, signature, ("audio",), tuple(suffixes.split()), mime, demuxer or name)


def _video(name: str, signature: bytes, suffixes: str, mime: str = "", demuxer: str | None = None) -> FileType:
    mime = f"video/{mime or name}"
    label = f"a video ({name.upper()})"
    return FileType(name, label, signature, ("video", "audio"), tuple(suffixes.split()), mime, demuxer or name)


FILE_TYPES: tuple[FileType, ...] = (
    _image("jpeg", rb"\xff\xd8\xff", ".jpg .jpeg"),
    _image("png", rb"\x89PNG\r\n\x1a\n", ".png"),
    _image("webp", rb"RIFF....WEBP", ".webp"),
    _image("gif", rb"GIF8[79]a", ".gif", "video", demuxer="gif"),
    _image("bmp", rb"BM....\0\0\0\0", ".bmp"),
    _image("tiff", rb"II\*\0|MM\0\*", ".tif .tiff"),
    _image("ppm", rb"P[1-6]\s", ".ppm .pgm .pbm"),
    _image("avif", rb"....ftyp(avif|avis|mif1.{4,32}avif)", ".avif"),
    FileType("heic", "a HEIC image, which this program cannot read", rb"....ftyp(heic|heix|hevc|mif1|msf1)"),
    _audio("wav", rb"(RIFF|RF64|RIFX)....WAVE", ".wav"),
    _audio("flac", rb"fLaC", ".flac"),
    _audio("mp3", rb"ID3|\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff]", ".mp3", "mpeg"),
    _video("ogv", rb"OggS.{24,60}\x80theora", ".ogv", "ogg", demuxer="ogg"),
    _audio("ogg", rb"OggS", ".ogg .oga .opus"),
    _audio("m4a", rb"....ftyp(M4A |M4B )", ".m4a", "mp4", demuxer="mov"),
    _audio("aac", rb"ADIF|\xff[\xf0\xf1\xf8\xf9]", ".aac"),
    _audio("aiff", rb"FORM....AIF[FC]", ".aif .aiff"),
    _audio("au", rb"\.snd", ".au", "basic"),
    _audio("caf", rb"caff", ".caf", "x-caf"),
    _video("mp4", rb"....(ftyp|moov|mdat|wide|free)", ".mp4 .m4v .mov .3gp", demuxer="mov"),
    _video("webm", rb"\x1aE\xdf\xa3", ".webm .mkv", demuxer="matroska"),
    _video("avi", rb"RIFF....AVI ", ".avi", "x-msvideo"),
    _video("flv", rb"FLV\x01", ".flv", "x-flv"),
    _video("mpeg", rb"\x00\x00\x01\xba", ".mpg .mpeg"),
    _video("mpegts", rb"\x47.{187}\x47.{187}\x47", ".ts .m2ts", "mp2t"),
    _video("asf", rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", ".wmv .asf", "x-ms-asf"),
    FileType("pdf", "a PDF document", rb"%PDF"),
    FileType("zip", "a ZIP archive", rb"PK\x03\x04"),
    FileType("gzip", "a gzip archive", rb"\x1f\x8b"),
    FileType("program", "a program", rb"\x7fELF|MZ"),
    FileType("playlist", "a playlist, which could name any file", rb"#EXTM3U|ffconcat"),
    FileType("markup", "an SVG, HTML or XML document", rb"\s*<(\?xml|svg|!DOCTYPE|!doctype|html|HTML)"),
)
"""Tried in order; a signature is matched at the first byte."""

FILE_TYPE_BY_SUFFIX: Mapping[str, FileType] = {
    suffix: file_type for file_type in FILE_TYPES for suffix in file_type.suffixes
}
"""File types by suffix, e.g. ``".mov"``."""

_PATTERNS = tuple((re.compile(row.signature, re.DOTALL), row) for row in FILE_TYPES)


def mime_of(suffix: str) -> str:
    """Return the MIME type of a file suffix with its dot; ``application/octet-stream`` if unknown."""
    row = FILE_TYPE_BY_SUFFIX.get(suffix.lower())
    return row.mime if row else "application/octet-stream"


def suffixes_of(modality: str) -> tuple[str, ...]:
    """Return the suffixes of all file types whose usual modality is ``modality``."""
    return tuple(suffix for row in FILE_TYPES if row.modalities[:1] == (modality,) for suffix in row.suffixes)


def sniff(content: bytes) -> FileType | None:
    """Identify a file by its first bytes (:data:`SNIFFED_BYTES`); names and suffixes are not trusted.

    An ID3 tag, which may stand before any audio, is skipped if ``content`` goes on after it.
    """
    start = id3_size(content)
    behind = content[start : start + SNIFFED_BYTES] if start else b""
    file_type = next((row for pattern, row in _PATTERNS if behind and pattern.match(behind)), None)
    if file_type is not None and file_type.modalities[:1] == ("audio",):
        return file_type
    head = content[:SNIFFED_BYTES]
    return next((row for pattern, row in _PATTERNS if pattern.match(head)), None)


def id3_size(content: bytes) -> int:
    """Return the size of the ID3v2 tag at the start of a file in bytes, 0 if there is none (id3.org, ID3v2.4, 3.1)."""
    if content[:3] != b"ID3" or len(content) < 10 or max(content[6:10]) > 127:
        return 0
    size = 0
    for byte in content[6:10]:
        size = size << 7 | byte
    return 10 + size
