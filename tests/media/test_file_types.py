"""What a file really is."""

from __future__ import annotations

import pytest

from nextgpt.media import sniff, write_audio, write_image, write_video


@pytest.mark.parametrize("name", ["png", "jpeg", "gif", "webp", "bmp", "tiff"])
def test_pictures_are_told_apart(picture, tmp_path, name):
    found = sniff(write_image(picture, tmp_path / f"a.{name}").read_bytes())
    assert (found.name, found.modalities[0]) == (name, "image")


@pytest.mark.parametrize("name", ["wav", "flac", "ogg", "mp3"])
def test_sounds_are_told_apart(sound, tmp_path, name):
    found = sniff(write_audio(sound, tmp_path / f"a.{name}").read_bytes())
    assert (found.name, found.modalities) == (name, ("audio",))


@pytest.mark.parametrize(("suffix", "demuxer"), [("mp4", "mov"), ("mov", "mov"), ("webm", "matroska")])
def test_films_are_told_apart(film, tmp_path, suffix, demuxer):
    found = sniff(write_video(film, tmp_path / f"a.{suffix}").read_bytes())
    assert (found.demuxer, found.modalities) == (demuxer, ("video", "audio"))


@pytest.mark.parametrize(
    ("head", "name"),
    [(b"%PDF-1.7", "pdf"), (b"PK\x03\x04", "zip"), (b"#EXTM3U\n", "playlist"), (b" <svg>", "markup"),
     (b"\x7fELF", "program")],
)  # fmt: skip
def test_what_is_none_of_ours_is_named_all_the_same(head, name):
    found = sniff(head)
    assert (found.name, found.modalities) == (name, ())


@pytest.mark.parametrize("head", [b"", b"\x00", b"hello", b"\xff", b"RIFF", b"\x00" * 4096])
def test_unknown_beginnings_have_no_type(head):
    assert sniff(head) is None
