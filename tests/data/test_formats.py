"""Corpora in their real formats: told apart, read, and what is broken in them listed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nextgpt.data.corpus import Corpus, read_corpus
from nextgpt.data.formats import FORMATS
from nextgpt.data.record import CaptionPair, Dialogue, MediaFile, dialogue_of
from nextgpt.data.validation import validate
from nextgpt.errors import ConfigError, MediaError

Write = Callable[[str], Any]


def told(dialogue: Dialogue) -> list[list[str]]:
    return [[part if isinstance(part, str) else f"<{part.modality}>" for part in turn.parts] for turn in dialogue.turns]


def dialogue(corpus: Corpus, position: int) -> Dialogue:
    record = corpus.records[position]
    assert isinstance(record, Dialogue)
    return record


def test_none_of_the_table_is_left_out(written_formats: set[str]) -> None:
    assert written_formats == FORMATS.keys()


def test_a_format_is_told_by_the_file_itself(format_name: str, written: Any) -> None:
    assert read_corpus(written.path).format == format_name


def test_what_is_broken_is_counted_and_listed_and_the_rest_stays(written: Any) -> None:
    verdict = validate(read_corpus(written.path), workers=1)
    assert verdict.records == written.records
    assert verdict.invalid and all(fault.key and fault.reason for fault in verdict.invalid)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_changes_nothing(written: Any, encoding: str) -> None:
    """Notepad writes the first, PowerShell and spreadsheets the second."""
    before = read_corpus(written.path)
    if written.path.suffix in (".json", ".jsonl", ".csv"):
        written.path.write_bytes(written.path.read_bytes().decode().encode(encoding))
    assert read_corpus(written.path) == before


@pytest.mark.parametrize(
    ("name", "rows", "place"),
    [
        ("a.csv", ["videoid,name", "1,ein B\u00e4r", "2,a bear"], "line 2"),
        ("a.jsonl", ['{"instruction": "\u00e4", "output": "x"}', '{"instruction": "a", "output": "x"}'], "line 1"),
    ],
)
def test_bytes_of_another_encoding_are_listed_and_not_replaced(
    name: str, rows: list[str], place: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text("\n".join(rows), encoding="latin-1")
    corpus = read_corpus(tmp_path / name)
    assert len(corpus.records) == 1
    assert [(row.key, row.reason.partition(";")[0]) for row in corpus.invalid] == [(place, "is not UTF-8")]


@pytest.mark.parametrize(
    ("caption", "reason"),
    [
        (float("nan"), "the caption is empty"),
        (None, "the caption is empty"),
        (" ", "the caption is empty"),
        (["a", "b"], "the caption is a list; expected text"),
    ],
)
def test_captions_that_are_no_text_are_listed(caption: object, reason: str, tmp_path: Path) -> None:
    rows = [{"image_name": "a.jpg", "caption": value} for value in (caption, "a square")]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    corpus = read_corpus(tmp_path / "a.json")
    assert [record.caption for record in corpus.records] == ["a square"]
    assert [row.reason for row in corpus.invalid] == [f"ValueError: {reason}"]


def test_roles_may_have_capitals_and_unknown_ones_are_listed(tmp_path: Path) -> None:
    rows = [
        {"id": name, "conversations": [{"from": name, "value": "Hi"}, {"from": "GPT", "value": "Hello"}]}
        for name in ("Human", "USER", "bing")
    ]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    corpus = read_corpus(tmp_path / "a.json")
    assert [dialogue(corpus, index).turns[0].role for index in range(2)] == ["user", "user"]
    assert "a turn is from 'bing'; expected one of human, user" in corpus.invalid[0].reason


def test_a_long_csv_field_is_read_and_a_damaged_row_is_listed(tmp_path: Path) -> None:
    path = tmp_path / "clips.csv"
    caption = "word " * 40_000
    path.write_text(f"videoid,name\n1,{caption}\n2,short,too many\n", encoding="utf-8")
    corpus = read_corpus(path)
    assert [record.caption for record in corpus.records] == [caption.strip()]
    assert [(row.key, row.reason) for row in corpus.invalid] == [("line 3", "has other columns than the first line")]


def test_records_become_typed_conversations(written: Any) -> None:
    corpus = read_corpus(written.path)
    record = corpus.records[0]
    assert isinstance(record, CaptionPair) == written.is_pairs
    conversation = dialogue_of(record, "captioning").conversation(opened_or_stand_in)
    assert [message.role for message in conversation][:2] == ["user", "assistant"]


def opened_or_stand_in(medium: MediaFile) -> object:
    from nextgpt.testing.scripted_model import tiny_image

    try:
        return medium.open()
    except MediaError:
        return tiny_image()


def test_a_pair_is_described_or_drawn(write: Write) -> None:
    pair = read_corpus(write("cc3m_json").path).records[0]
    assert isinstance(pair, CaptionPair)
    assert told(pair.as_generation()) == [["a a"], ["a a", "<image>"]]
    question, answer = told(pair.as_captioning())
    assert question[0] == "<image>" and "image" in question[1] and answer == ["a a"]


def test_markers_become_media_where_they_stand(write: Write) -> None:
    llava = read_corpus(write("llava").path)
    assert told(dialogue(llava, 0)) == [["<image>", "What is this?"], ["A red square."], ["Which colour?"], ["Red."]]
    assert told(dialogue(llava, 1))[0] == ["What is this?", "<image>"]


def test_the_published_forms_give_captions_to_what_is_made(tmp_path: Path, write: Write) -> None:
    for name, position, modality, caption in (
        ("t2m_legacy", 0, "image", "a red square"),
        ("nextgpt", 0, "image", "a red square"),
        ("nextgpt", 2, "audio", "a tone"),
        ("mosit", 0, "image", "a red square"),
    ):
        made = dialogue(read_corpus(write(name).path), position).output_media
        assert [(medium.modality, medium.caption) for medium in made] == [(modality, caption)]


def test_media_in_the_midst_of_words_stay_there(write: Write) -> None:
    assert told(dialogue(read_corpus(write("mosit").path), 0))[1] == ["Look:", "<image>", "Nice?"]


def test_edits_are_known(write: Write) -> None:
    (made,) = dialogue(read_corpus(write("messages_jsonl").path), 0).output_media
    assert made.is_edit and made.caption == "a blue square"


def test_media_elsewhere_are_found_in_the_folder_that_is_named(write: Write, tmp_path: Path) -> None:
    path = write("cc3m_json").path
    moved = tmp_path / "elsewhere" / "cc3m.json"
    moved.parent.mkdir()
    path.rename(moved)
    assert validate(read_corpus(moved), workers=1).records == 0
    assert validate(read_corpus(moved, media=tmp_path), workers=1).records == 1


def test_a_tar_that_is_cut_off_gives_what_stands_before(write: Write) -> None:
    path = write("caption_tar").path
    path.write_bytes(path.read_bytes()[: -path.stat().st_size // 4])
    corpus = read_corpus(path)
    assert corpus.records


def test_a_folder_of_tars_is_one_corpus(write: Write, tmp_path: Path) -> None:
    path = write("caption_tar").path
    folder = tmp_path / "shards"
    folder.mkdir()
    for number in range(2):
        (folder / f"{number:05d}.tar").write_bytes(path.read_bytes())
    assert len(read_corpus(folder).records) == 2 * len(read_corpus(path).records)


def test_a_fingerprint_changes_with_words_and_media(write: Write) -> None:
    path = write("cc3m_json").path
    before = read_corpus(path).fingerprint()
    assert read_corpus(path).fingerprint() == before
    rows = json.loads(path.read_text())
    path.write_text(json.dumps([rows[0] | {"caption": "another"}, rows[1]]))
    assert read_corpus(path).fingerprint() != before


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", '[{"colour": "red"}]', "begins with the keys colour"),
        ("a.json", "[", "is no JSON"),
        ("a.json", "[]", "has no row with keys"),
        ("a.txt", "hello", "ends with .txt"),
        ("a.json", '[{"image_name": "a.jpg", "caption": ""}]', "no valid record of the format cc3m_json"),
    ],
)
def test_a_file_that_is_no_corpus_is_refused_with_what_to_do(
    name: str, content: str, said: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(ConfigError, match=said):
        read_corpus(path)


def test_an_unknown_format_names_the_nearest(write: Write) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'llava'"):
        read_corpus(write("llava").path, format="lava")
