"""Whole builds: stages, resuming, decisions of people, exports that other readers accept, media, and the report."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.data.build.conftest import TINY, with_tiny_media, write
from typer.testing import CliRunner

from nextgpt.cli.app import app
from nextgpt.data.build import media as media_stage
from nextgpt.data.build.export import EXPORT_DIR, export_dialogues
from nextgpt.data.build.filters import filter_dialogues
from nextgpt.data.build.media import make_media
from nextgpt.data.build.media_job import MediumJob
from nextgpt.data.build.pipeline import build
from nextgpt.data.build.plan import plan_dialogues
from nextgpt.data.build.recipe import BuildRecipe
from nextgpt.data.build.report import REPORT_FILE
from nextgpt.data.build.review import DECISIONS_FILE
from nextgpt.data.build.row import STAGES, BuildRow, Candidate, read_rows
from nextgpt.data.corpus import read_corpus
from nextgpt.data.validation import validate
from nextgpt.errors import ConfigError
from nextgpt.modality import MODALITIES

MakeRecipe = Callable[..., BuildRecipe]
ROOT = Path(__file__).parents[3]


@pytest.fixture
def finished(make_recipe: MakeRecipe) -> tuple[BuildRecipe, list[BuildRow]]:
    """Eight dialogues with tiny media."""
    recipe = make_recipe(media={"mode": "synthesize"}, filters={"licences": ["MIT"]})
    return recipe, with_tiny_media(write(plan_dialogues(recipe), recipe), recipe.work)


def test_every_stage_writes_its_rows_and_a_second_run_equals_the_first(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe()
    build(recipe)
    files = [*(f"{stage}.jsonl" for stage in STAGES), "export/messages/data.jsonl"]
    first = {name: (recipe.work / name).read_bytes() for name in files}
    assert all(first.values())
    (recipe.work / "media").mkdir(exist_ok=True)
    (recipe.work / "media" / ".unfinished-1-a.png").write_bytes(b"left by a killed process")
    build(recipe)
    assert {name: (recipe.work / name).read_bytes() for name in files} == first
    assert not list(recipe.work.rglob(".unfinished*"))


def test_repeated_dialogues_are_dropped_with_the_reason(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe(checks={"max_similarity": 0.02})
    rows = build(recipe).rows
    dropped = [row for row in rows if row.reason == "near_duplicate"]
    assert dropped and all("similarity" in row.detail and row.stage == "check" for row in dropped)
    assert "near_duplicate" in (recipe.work / REPORT_FILE).read_text()


def test_two_builds_in_one_folder_are_refused(make_recipe: MakeRecipe) -> None:
    from nextgpt.data.build.files import lock_directory

    recipe = make_recipe()
    with lock_directory(recipe.work), pytest.raises(ConfigError, match="in use by another build"):
        build(recipe)


def test_a_damaged_stage_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "plan.jsonl").write_text('{"id": "a"}\n')
    with pytest.raises(ConfigError, match=r"plan.jsonl, line 1"):
        list(read_rows(tmp_path / "plan.jsonl"))


def test_people_keep_change_and_drop(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe()
    rows = build(recipe).rows
    changed = [message.model_dump() for message in rows[2].messages]
    changed[0]["content"][-1]["text"] = "A better text."
    decisions = [
        {"id": rows[0].id, "reviewer": "a", "decision": "drop", "reason": "dull"},
        {"id": rows[1].id, "reviewer": "a", "decision": "drop"},
        {"id": rows[1].id, "reviewer": "b", "decision": "keep"},
        {"id": rows[2].id, "reviewer": "a", "decision": "drop"},
        {"id": rows[2].id, "reviewer": "a", "decision": "keep", "messages": changed},
    ]
    lines = "".join(json.dumps(decision) + "\n" for decision in decisions)
    (recipe.work / DECISIONS_FILE).write_text(lines + '{"id": "cut off')
    after = build(recipe).rows
    assert [(row.status, row.reason) for row in after[:3]] == [
        ("dropped", "rejected"), ("dropped", "disputed"), ("kept", ""),
    ]  # fmt: skip
    assert after[2].messages[0].text == "A better text." and after[3:] == rows[3:]


# ---- media ---------------------------------------------------------------------------------------------------------


class TinyMaker:
    """Saves a tiny medium per job; its first candidate is named after the edit source."""

    name, batch_size = "tiny", 2

    def __init__(self) -> None:
        self.made: list[MediumJob] = []

    def make(self, jobs: list[MediumJob], paths: list[Path]) -> list[tuple[Candidate, ...]]:
        self.made += jobs
        made = []
        for job, path in zip(jobs, paths, strict=True):
            create, suffix = TINY[job.modality]
            file = create().save(path.with_suffix(suffix))
            place = f"media/{job.modality}/{file.name}"
            made.append((Candidate(path=place, source="tiny", licence="MIT", made_by=f"edit of {job.edit_source}"),))
        return made

    def remember(self, chosen: Candidate) -> None:
        pass


@pytest.fixture
def tiny_maker(monkeypatch: pytest.MonkeyPatch) -> TinyMaker:
    maker = TinyMaker()
    monkeypatch.setattr(media_stage, "_create_makers", lambda recipe: dict.fromkeys(MODALITIES, maker))
    return maker


def test_every_caption_gets_a_file_and_edits_start_from_the_medium_before(
    make_recipe: MakeRecipe, tiny_maker: TinyMaker
) -> None:
    recipe = make_recipe(media={"mode": "synthesize"}, contains={"edit": 0.8}, dialogues=10)
    rows = make_media(write(plan_dialogues(recipe), recipe), recipe, lambda done, total: None)
    for row in rows:
        assert row.is_kept
        for index, part in enumerate(row.media):
            assert (recipe.work / (part.path or "")).is_file() and part.candidates
            source = media_stage.edit_source_index(row.media, index)
            assert part.made_by == f"edit of {'' if source is None else row.media[source].path}"
    assert sum(job.edit_source != "" for job in tiny_maker.made) >= 8
    count = len(tiny_maker.made)
    assert make_media(write(plan_dialogues(recipe), recipe), recipe, lambda done, total: None) == rows
    assert len(tiny_maker.made) == count, "a second run makes nothing"


def test_an_interrupted_media_stage_continues(
    make_recipe: MakeRecipe, tiny_maker: TinyMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make_recipe(media={"mode": "synthesize"}, dialogues=6)
    written = write(plan_dialogues(recipe), recipe)
    make = tiny_maker.make

    def fail_once(jobs: list[MediumJob], paths: list[Path]) -> list[tuple[Candidate, ...]]:
        if len(tiny_maker.made) >= 6:
            raise KeyboardInterrupt
        return make(jobs, paths)

    monkeypatch.setattr(tiny_maker, "make", fail_once)
    with pytest.raises(KeyboardInterrupt):
        make_media(written, recipe, lambda done, total: None)
    monkeypatch.setattr(tiny_maker, "make", make)
    rows = make_media(written, recipe, lambda done, total: None)
    assert all(row.is_kept for row in rows)
    assert len(tiny_maker.made) == sum(len(row.media) for row in rows), "nothing is made twice"


# ---- filters -------------------------------------------------------------------------------------------------------


def test_filters_drop_with_a_reason(finished: tuple[BuildRecipe, list[BuildRow]]) -> None:
    recipe, rows = finished
    with_media = [index for index, row in enumerate(rows) if row.media]
    unreadable, unlicensed, personal = with_media[:3]
    (recipe.work / (rows[unreadable].media[0].path or "")).write_bytes(b"no medium")
    rows[unlicensed] = _with_first_medium(rows[unlicensed], licence="")
    rows[personal] = _with_first_medium(rows[personal], caption="a note that says mail me at a@example.org")
    after = filter_dialogues(rows, recipe, lambda done, total: None)
    reasons = {index: row.reason for index, row in enumerate(after) if not row.is_kept}
    assert reasons == {unreadable: "unreadable", unlicensed: "licence", personal: "personal_data"}


def test_media_that_look_the_same_are_found(finished: tuple[BuildRecipe, list[BuildRow]]) -> None:
    recipe, rows = finished
    filters = recipe.filters.model_copy(update={"max_hash_distance": 1})
    after = filter_dialogues(rows, recipe.model_copy(update={"filters": filters}), lambda done, total: None)
    visual = [row for row in rows if {"image", "video"} & {part.type for part in row.media}]
    assert Counter(row.reason for row in after)["near_duplicate_medium"] >= len(visual) - 2


def test_the_nudity_filter_names_its_package(finished: tuple[BuildRecipe, list[BuildRow]]) -> None:
    recipe, rows = finished
    recipe = recipe.model_copy(update={"filters": recipe.filters.model_copy(update={"nsfw": "nudenet"})})
    try:
        import nudenet  # noqa: F401
    except ImportError:
        with pytest.raises(ConfigError, match="pip install nudenet"):
            filter_dialogues(rows, recipe, lambda done, total: None)
    else:
        assert all(row.is_kept for row in filter_dialogues(rows, recipe, lambda done, total: None))


def _with_first_medium(row: BuildRow, **changes: object) -> BuildRow:
    index = next(i for i, message in enumerate(row.messages) if message.media)
    message = row.messages[index]
    position = next(i for i, part in enumerate(message.content) if part.type != "text")
    parts = list(message.content)
    parts[position] = parts[position].model_copy(update=changes)
    messages = list(row.messages)
    messages[index] = message.model_copy(update={"content": tuple(parts)})
    return row.model_copy(update={"messages": tuple(messages)})


# ---- exports -------------------------------------------------------------------------------------------------------


def export(finished: tuple[BuildRecipe, list[BuildRow]], *formats: str) -> tuple[Path, list[BuildRow]]:
    recipe, rows = finished
    export_dialogues(rows, recipe.model_copy(update={"export": formats}))
    return recipe.work / EXPORT_DIR, rows


@pytest.mark.parametrize("name", ["messages", "tars"])
def test_own_readers_open_the_export(finished: tuple[BuildRecipe, list[BuildRow]], name: str) -> None:
    folder, rows = export(finished, name)
    corpus = read_corpus(folder / name / "data.jsonl" if name == "messages" else folder / name)
    report = validate(corpus, workers=1)
    assert report.records == len(rows) and not report.invalid and not report.missing
    assert Counter(report.media) == Counter(part.type for row in rows for part in row.media)
    edits = [medium.is_edit for record in corpus.records for medium in record.output_media]  # type: ignore[union-attr]
    assert sum(edits) == sum(part.is_edit for row in rows for part in row.media) > 0
    media = [medium for record in corpus.records for medium in record.output_media]  # type: ignore[union-attr]
    assert {(medium.source, medium.licence) for medium in media} == {("tiny", "MIT")}


def test_sharegpt_has_as_many_tags_as_files(finished: tuple[BuildRecipe, list[BuildRow]]) -> None:
    folder, rows = export(finished, "sharegpt")
    entries = json.loads((folder / "sharegpt" / "train.json").read_text())
    (info,) = json.loads((folder / "sharegpt" / "dataset_info.json").read_text()).values()
    assert info["formatting"] == "sharegpt" and info["tags"]["user_tag"] == "user"
    assert len(entries) == len(rows)
    for entry in entries:
        assert [message["role"] for message in entry["messages"]] == ["user", "assistant"] * (
            len(entry["messages"]) // 2
        )
        text = "".join(message["content"] for message in entry["messages"])
        for tag, column in (("<image>", "images"), ("<audio>", "audios"), ("<video>", "videos")):
            assert text.count(tag) == len(entry[info["columns"][column]])
            assert all((folder / "sharegpt" / name).is_file() for name in entry[column])


def test_the_card_stands_beside_the_paper_and_names_sources(finished: tuple[BuildRecipe, list[BuildRow]]) -> None:
    folder, rows = export(finished, "messages")
    card = (folder / "README.md").read_text()
    assert "| instances | 8 | 5,000 |" in card and "| MIT |" in card
    sources = [json.loads(line) for line in (folder / "sources.jsonl").read_text().splitlines()]
    assert len(sources) == sum(len(row.media) for row in rows)
    assert all(source["licence"] == "MIT" and source["made_by"] for source in sources)


def test_datasets_reads_the_parquet(finished: tuple[BuildRecipe, list[BuildRow]], tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="the export parquet needs pyarrow")
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    folder, rows = export(finished, "parquet")
    read = datasets.load_dataset(
        "parquet", data_files=str(folder / "parquet" / "train.parquet"), cache_dir=str(tmp_path), split="train"
    )
    assert [entry["id"] for entry in read] == [row.id for row in rows]
    for entry, row in zip(read, rows, strict=True):
        for column, modality in (("images", "image"), ("audios", "audio"), ("videos", "video")):
            own = [(row.id, part.path) for part in row.media if part.type == modality]
            assert len(entry[column]) == len(own) and all(medium["bytes"] for medium in entry[column])


def test_webdataset_reads_the_tars(finished: tuple[BuildRecipe, list[BuildRow]]) -> None:
    webdataset = pytest.importorskip("webdataset", reason="webdataset is not installed")
    folder, rows = export(finished, "tars")
    samples = list(webdataset.WebDataset(str(folder / "tars" / "00000.tar"), shardshuffle=False))
    assert len(samples) == len(rows)
    for sample, row in zip(samples, rows, strict=True):
        assert json.loads(sample["messages.json"])["id"] == row.id
        assert len([key for key in sample if not key.startswith("__")]) == 1 + len(row.media)


def test_nothing_to_export_is_an_error(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe()
    rows = [row.dropped("check", "length") for row in plan_dialogues(recipe)]
    with pytest.raises(ConfigError, match="No dialogue of 8 is left"):
        export_dialogues(rows, recipe)


def test_the_report_escapes_what_comes_from_outside(finished: tuple[BuildRecipe, list[BuildRow]]) -> None:
    from nextgpt.data.build.report import write_report
    from nextgpt.data.build.request_store import Ledger

    recipe, rows = finished
    attack = '<script>alert("x")</script>" onerror="alert(1)'
    rows = [_with_first_medium(row, caption=attack, made_by=attack) if row.media else row for row in rows]
    page = write_report(rows, recipe, Ledger(1, 2, 3, 0.5, 0, 0.0)).read_text()
    assert "<script" not in page and 'onerror="alert' not in page and "&lt;script&gt;" in page


# ---- the command ---------------------------------------------------------------------------------------------------


def test_the_command_plans_builds_and_prints_json(tmp_path: Path) -> None:
    recipe = str(ROOT / "recipes" / "data" / "mosit-mock.yaml")
    settings = [f"work={tmp_path / 'work'}", "dialogues=8", "media.mode=none"]
    plan = CliRunner().invoke(app, ["data", "build", recipe, *settings, "--dry-run", "--json"])
    assert json.loads(plan.stdout)["dialogues"] == 8 and not (tmp_path / "work").exists()
    done = CliRunner().invoke(app, ["data", "build", recipe, *settings, "--json"])
    assert json.loads(done.stdout)["kept"] == 8
    assert (tmp_path / "work" / "export" / "messages" / "data.jsonl").is_file()
    wrong = CliRunner().invoke(app, ["data", "build", recipe, *settings, "--until", "nowhere"])
    assert wrong.exit_code != 0
