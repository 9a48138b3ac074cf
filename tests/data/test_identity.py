"""Media are told apart by what they are, not by their names; what is left out is counted."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

import pytest
from tests.data.conftest import as_json, as_tar, medium

from nextgpt.data.corpus import read_corpus
from nextgpt.data.record import CaptionPair, MediaFile, media_of
from nextgpt.data.validation import validate
from nextgpt.data.writers import write_jsonl, write_tar_shards
from nextgpt.errors import ConfigError
from nextgpt.media import read_image
from nextgpt.testing.scripted_model import tiny_audio, tiny_image, tiny_video


def test_media_of_one_name_and_size_in_two_corpora_differ(tmp_path: Path) -> None:
    """Before, both had one key, and the second corpus was trained on the features of the first."""
    first, second = (medium(tmp_path / name / "audio" / "0.wav", "audio") for name in ("a", "b"))
    assert first.stat().st_size == second.stat().st_size
    keys = [MediaFile("audio", path).key for path in (first, second)]
    assert len(set(keys)) == 2
    assert MediaFile("audio", first).key == keys[0]
    os.utime(first, ns=(1, 1))  # written again
    assert MediaFile("audio", first).key != keys[0]


def test_tar_members_whose_names_look_alike_stay_apart(tmp_path: Path) -> None:
    colours = {"a/b_0.jpg": (255, 0, 0), "a_b/0.jpg": (0, 0, 255), "../c/0.jpg": (0, 255, 0)}
    members: dict[str, bytes] = {}
    for name, colour in colours.items():
        path = tiny_image(colour).save(tmp_path / "one.jpg")
        members |= {name: path.read_bytes(), name.replace(".jpg", ".txt"): name.encode()}
    corpus = read_corpus(as_tar(tmp_path / "data.tar", members))
    target = tmp_path / "out" / "own.jsonl"
    target.parent.mkdir()
    assert write_jsonl(corpus.records, target) == 3
    written = [media_of(record)[0] for record in read_corpus(target).records]
    assert all(found.path.is_relative_to(tmp_path / "out") for found in written)
    for found in written:
        red, green, blue = read_image(found.path).image.getpixel((0, 0))
        expected = colours[found.caption]
        assert [value > 128 for value in (red, green, blue)] == [value > 128 for value in expected]


def test_keys_that_come_twice_in_a_tar_are_counted(tmp_path: Path) -> None:
    content = medium(tmp_path / "a.jpg", "image").read_bytes()
    path = tmp_path / "data.tar"
    with tarfile.open(path, "w") as tar:
        for name, data in (
            ("0.jpg", content), ("0.jpg", content), ("0.txt", b"a"), ("1.jpg", content), ("1.txt", b"b"),
            ("0.jpg", content), ("0.txt", b"c"),
        ):  # fmt: skip
            add(tar, name, data)
    corpus = read_corpus(path)
    assert [record.caption for record in corpus.records if isinstance(record, CaptionPair)] == ["a", "b"]
    assert [invalid.key for invalid in corpus.invalid] == ["0", "0", "0"]
    assert "is in data.tar twice" in corpus.invalid[0].reason
    assert "comes again in data.tar" in corpus.invalid[1].reason


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    import io

    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def test_a_video_with_its_audio_track_beside_it_is_a_video(tmp_path: Path) -> None:
    members = {
        "0.m4a": tiny_audio().save(tmp_path / "a.wav").read_bytes(),
        "0.mp4": tiny_video().save(tmp_path / "a.mp4").read_bytes(),
        "0.txt": b"a red square moves",
    }
    (record,) = read_corpus(as_tar(tmp_path / "data.tar", members)).records
    assert media_of(record)[0].name == "0.mp4"


SUFFIXES = {
    "image": (".gif", ".bmp", ".tif", ".avif", ".jpeg"),
    "audio": (".opus", ".aac", ".flac"),
    "video": (".3gp", ".m4v", ".mpg", ".mkv"),
}


@pytest.mark.parametrize(("modality", "suffix"), [(m, suffix) for m, row in SUFFIXES.items() for suffix in row])
def test_corpora_may_name_media_of_every_known_suffix(modality: str, suffix: str, tmp_path: Path) -> None:
    """Only finding is tested: the content decides how a file is read."""
    (tmp_path / f"x{suffix}").write_bytes(b"found")
    rows = [{f"{modality}_name": f"x{suffix}", "caption": "a"}, {f"{modality}_name": "x", "caption": "b"}]
    corpus = read_corpus(as_json(tmp_path / "corpus.json", rows))
    assert [media_of(record)[0].path.name for record in corpus.records] == [f"x{suffix}"] * 2


LLAVA = [
    {"id": "0", "image": "a.jpg", "conversations": [
        {"from": "human", "value": "<image>\nWhat is this?"}, {"from": "gpt", "value": "A square."}]},
    {"id": "1", "conversations": [
        {"from": "human", "value": "What does <image> mean in LLaVA?"}, {"from": "gpt", "value": "A place."}]},
    {"id": "2", "video": "a.mp4", "conversations": [
        {"from": "human", "value": "<image>\nWhat moves?"}, {"from": "gpt", "value": "A square."}]},
]  # fmt: skip


@pytest.mark.parametrize("name", ["llava.json", "llava.jsonl"])
@pytest.mark.parametrize("has_lines", [False, True])
def test_lists_and_lines_of_json_are_told_by_their_content(name: str, has_lines: bool, tmp_path: Path) -> None:
    medium(tmp_path / "a.jpg", "image")
    path = tmp_path / name
    path.write_text("\n".join(map(json.dumps, LLAVA)) if has_lines else json.dumps(LLAVA, indent=1))
    corpus = read_corpus(path)
    assert (corpus.format, len(corpus.records)) == ("llava", 1)
    assert [(row.key, row.reason) for row in corpus.invalid] == [
        (key, "ValueError: a marker <image> has no medium") for key in ("1", "2")
    ]
    assert validate(corpus, workers=1).records == 1


def test_a_damaged_shard_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "00000.tar").write_bytes(b"no tar at all" * 100)
    with pytest.raises(ConfigError, match=r"00000.tar is a damaged tar"):
        read_corpus(tmp_path)


def test_a_compressed_shard_is_named_as_such(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "00000.tar", "w:gz") as tar:
        add(tar, "0.txt", b"a")
    with pytest.raises(ConfigError, match=r"00000.tar is compressed; expected a plain tar"):
        read_corpus(tmp_path)


def test_tars_that_were_not_written_to_their_end_are_no_corpus(tmp_path: Path) -> None:
    """A pack that was killed leaves whole tars, but not all of them."""
    members: dict[str, bytes] = {}
    for number in range(3):
        members |= {f"{number}.jpg": medium(tmp_path / "a.jpg", "image").read_bytes(), f"{number}.txt": b"a"}
    corpus = read_corpus(as_tar(tmp_path / "data.tar", members))
    packing = write_tar_shards(corpus.records, tmp_path / "tars", shard_bytes=1)
    next(packing)
    with pytest.raises(ConfigError, match="is unfinished"):
        read_corpus(tmp_path / "tars")
    assert len(list(packing)) == 2
    assert len(read_corpus(tmp_path / "tars").records) == 3
