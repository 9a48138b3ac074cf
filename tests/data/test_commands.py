"""``nextgpt data``: corpora are checked, counted, shown, converted and packed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nextgpt.cli.app import main
from nextgpt.data.corpus import Corpus, read_corpus
from nextgpt.data.formats import FORMATS
from nextgpt.data.record import MediaFile, Record, dialogue_of, media_of
from nextgpt.data.validation import validate

Write = Callable[[str], Any]
Printed = pytest.CaptureFixture[str]


def said(record: Record) -> object:
    """What a record says, media by what they show."""

    def shown(part: str | MediaFile) -> object:
        return part if isinstance(part, str) else (part.modality, part.caption, part.is_edit)

    return [(turn.role, [shown(part) for part in turn.parts]) for turn in dialogue_of(record, "generation").turns]


def sound_records(corpus: Corpus) -> list[object]:
    broken = {fault.key for fault in validate(corpus, workers=1).invalid}
    return [said(record) for record in corpus.records if record.key not in broken]


def test_every_format_is_listed(capsys: Printed) -> None:
    assert main(["data", "formats"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(FORMATS)


def test_validate_lists_what_is_broken_and_is_no_failure(write: Write, tmp_path: Path, capsys: Printed) -> None:
    path = write("cc3m_json").path
    assert main(["data", "validate", str(path), "--out", str(tmp_path / "broken.jsonl")]) == 0
    printed = capsys.readouterr().out
    assert "cc3m_json, 1 records to train on; media opened: 1 image" in printed
    assert "invalid: 1\n  b: b.jpg is a JPEG image that cannot be decoded" in printed
    assert json.loads((tmp_path / "broken.jsonl").read_text())["key"] == "b"


def test_validate_prints_one_json_object(write: Write, capsys: Printed) -> None:
    assert main(["data", "validate", str(write("mosit").path), "--json"]) == 0
    verdict = json.loads(capsys.readouterr().out)
    assert (verdict["format"], verdict["records"], verdict["missing"], len(verdict["invalid"])) == ("mosit", 1, 1, 1)


def test_stats_count_without_opening(write: Write, capsys: Printed) -> None:
    assert main(["data", "stats", str(write("llava").path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["dialogues"], found["input_media"], found["missing"]) == (3, {"image": 2}, 1)
    assert found["turns_mean"] == round((4 + 2 + 2) / 3, 2)


def test_a_preview_shows_media_escapes_words_and_tells_what_is_broken(write: Write, tmp_path: Path) -> None:
    path = write("cc3m_json").path
    rows = json.loads(path.read_text())
    path.write_text(json.dumps([rows[0] | {"caption": "<script>alert(1)</script>"}, rows[1]]))
    assert main(["data", "preview", str(path), "--out", str(tmp_path / "page")]) == 0
    page = (tmp_path / "page" / "index.html").read_text()
    assert '<img src="000000-0.jpg"' in page and (tmp_path / "page" / "000000-0.jpg").is_file()
    assert "<script>" not in page and "&lt;script&gt;" in page
    assert "cannot be decoded" in page


@pytest.mark.parametrize("name", ["caption_tar", "llava", "nextgpt", "messages_jsonl", "audiocaps_csv"])
def test_what_is_converted_says_the_same(name: str, write: Write, tmp_path: Path, capsys: Printed) -> None:
    corpus = read_corpus(write(name).path)
    out = tmp_path / "own" / "converted.jsonl"
    assert main(["data", "convert", str(corpus_path(corpus, tmp_path)), "--out", str(out)]) == 0
    again = read_corpus(out)
    assert again.format == "messages_jsonl"
    assert [said(record) for record in again.records] == [said(record) for record in corpus.records]
    assert sound_records(again) == sound_records(corpus)


@pytest.mark.parametrize("name", ["caption_tar", "llava", "nextgpt", "messages_jsonl", "webvid_csv"])
def test_what_is_packed_says_the_same_and_needs_no_other_file(
    name: str, write: Write, tmp_path: Path, capsys: Printed
) -> None:
    corpus = read_corpus(write(name).path)
    assert main(["data", "pack", str(corpus_path(corpus, tmp_path)), "--out", str(tmp_path / "tars")]) == 0
    expected = sound_records(corpus)
    media = [medium.path for record in corpus.records for medium in media_of(record) if medium.byte_range is None]
    for path in media:
        path.unlink(missing_ok=True)
    packed = read_corpus(tmp_path / "tars")
    assert packed.format == "messages_tar"
    assert [record for record in sound_records(packed) if record in expected] == expected


def corpus_path(corpus: Corpus, folder: Path) -> Path:
    return folder / corpus.name


def test_shards_stay_near_their_size(write: Write, tmp_path: Path) -> None:
    from nextgpt.data.writers import write_tar_shards

    corpus = read_corpus(write("llava").path)
    paths = [
        path for path in write_tar_shards(corpus.records, tmp_path / "tars", shard_bytes=1) if isinstance(path, Path)
    ]
    assert [path.name for path in paths] == ["00000.tar", "00001.tar", "00002.tar"][: len(paths)] and len(paths) > 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["stats", "missing.json"], "missing.json is missing"),
        (["stats", "{}", "--format", "lava"], "Did you mean 'llava'?"),
        (["fly"], "fly"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(arguments: list[str], told: str, write: Write, capsys: Printed) -> None:
    path = write("llava").path
    assert main(["data", *(argument.format(path) for argument in arguments)]) == 2
    printed = capsys.readouterr()
    assert told in printed.err and printed.err.count("\n") == 1
