from __future__ import annotations

from pathlib import Path

import pytest

from nextgpt.errors import ConfigError
from nextgpt.evaluate.standard.items import EvalItem, TextEntry, medium, user_message
from nextgpt.evaluate.standard.records import ItemRecord
from nextgpt.evaluate.standard.run_folder import (
    RECORDS_FILE,
    RunFolder,
    RunManifest,
    create_run,
    data_fingerprint,
    lock_run,
    model_fingerprint,
    open_run,
    system_slug,
)
from nextgpt.testing.model import write_tiny_model

ITEMS = tuple(
    EvalItem(id=f"item {n}", suite="coco-t2i", request=user_message(f"Draw\u2028{n}."), target_caption=str(n))
    for n in range(5)
)


def test_a_model_is_identified_by_its_configuration_trained_weights_and_components(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "tiny")
    fingerprints = [model_fingerprint(str(folder))]
    for name in ("config.json", "nextgpt.safetensors", "image/model_index.json", "README.md"):
        path = folder / name
        path.write_bytes(path.read_bytes() + b" " if path.is_file() else b"# Tiny")
        fingerprints.append(model_fingerprint(str(folder)))
    *changed, with_readme = fingerprints
    assert len(set(changed)) == 4 and with_readme == changed[-1]


def manifest(**changes: object) -> RunManifest:
    facts = {"suite": "coco-t2i", "protocol": "p", "model": "nano", "seed": 0, "limit": 5, "batch_size": 2}
    return RunManifest(**facts | {"data": "/data", "data_fingerprint": "f"} | changes)


def record(number: int) -> ItemRecord:
    parts = (TextEntry(type="text", text="Here:"), medium("image", f"media/{number}.png"))
    return ItemRecord(id=f"item {number}", parts=parts, seed=number)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return create_run(tmp_path / "run", manifest(), ITEMS)


def test_items_and_records_are_read_as_they_were_written(run: RunFolder) -> None:
    run.append("direct", [record(0), record(1)])
    again = open_run(run.path)
    assert again.items == ITEMS
    assert again.records("direct") == (record(0), record(1))
    assert (again.systems, again.is_complete("direct")) == (("direct",), False)


def test_a_record_has_its_text_and_media_in_order() -> None:
    parts = (*record(0).parts, TextEntry(type="text", text="And."), medium("audio", "a.wav"))
    answer = record(0).model_copy(update={"parts": parts})
    assert (answer.text, answer.modalities) == ("Here:\nAnd.", ("image", "audio"))
    assert answer.first_medium("video") is None


@pytest.mark.parametrize("cut", [1, 20, -1])
def test_a_torn_line_and_its_batch_are_dropped(run: RunFolder, cut: int) -> None:
    run.append("direct", [record(0), record(1)])
    complete = (run.path / "direct" / RECORDS_FILE).read_bytes()
    run.append("direct", [record(2), record(3)])
    whole = (run.path / "direct" / RECORDS_FILE).read_bytes()
    end = len(complete) + cut if cut > 0 else len(whole) + cut
    (run.path / "direct" / RECORDS_FILE).write_bytes(whole[:end])
    assert run.drop_incomplete_batch("direct") == (record(0), record(1))
    assert (run.path / "direct" / RECORDS_FILE).read_bytes() == complete
    run.append("direct", [record(2), record(3)])
    run.append("direct", [record(4)])
    assert run.is_complete("direct")


def test_another_run_in_the_same_folder_is_refused(run: RunFolder) -> None:
    create_run(run.path, manifest(), ITEMS)
    with pytest.raises(ConfigError, match=r"seed 0; got 1\. Choose another --out"):
        create_run(run.path, manifest(seed=1), ITEMS)


def test_two_processes_do_not_write_the_same_run(tmp_path: Path) -> None:
    with lock_run(tmp_path / "run"), pytest.raises(ConfigError, match="is written by another process"):
        lock_run(tmp_path / "run").__enter__()
    with lock_run(tmp_path / "run"):
        pass


def test_data_may_move(run: RunFolder) -> None:
    assert create_run(run.path, manifest(data="/elsewhere"), ITEMS).data == Path("/elsewhere")
    assert open_run(run.path).data == Path("/elsewhere")


def test_a_folder_without_a_run_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no run\.json; expected a run"):
        open_run(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"run\.json at suite: Field required"):
        open_run(tmp_path)


def test_the_fingerprint_depends_on_items_and_contents(tmp_path: Path) -> None:
    item = ITEMS[0].model_copy(update={"reference_media": (medium("image", "a.png"),)})
    missing = data_fingerprint([item], tmp_path)
    (tmp_path / "a.png").write_bytes(b"1")
    short = data_fingerprint([item], tmp_path)
    (tmp_path / "a.png").write_bytes(b"2")  # of the same size
    other = data_fingerprint([item], tmp_path)
    assert len({missing, short, other, data_fingerprint([ITEMS[1]], tmp_path)}) == 4
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "a.png").write_bytes(b"2")
    assert data_fingerprint([item], tmp_path / "copy") == other


def test_systems_have_safe_folder_names() -> None:
    assert system_slug("openai:http://host:8000/v1") == "openai-host-8000-v1"
    assert system_slug("true-caption") == "true-caption"
    assert "/" not in system_slug("../../etc") and system_slug("..") == "system"
