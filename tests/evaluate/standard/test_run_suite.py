from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.evaluate.stand_ins import MeanColors, StandIn, create, extractors

from nextgpt.errors import ConfigError, ConversationError
from nextgpt.evaluate.metrics import METRICS
from nextgpt.evaluate.standard import result_store, run_suite, scoring
from nextgpt.evaluate.standard.protocols import PROTOCOLS
from nextgpt.evaluate.standard.run_folder import RECORDS_FILE, RESULTS_DIR, SCORES_FILE, open_run
from nextgpt.evaluate.standard.run_suite import StandardOptions, run_standard
from nextgpt.message import Reply, Text
from nextgpt.miniworld.export import export_miniworld

COUNT = 5
PYTHON_METRICS = ("bleu_4", "rouge_l", "cider_d", "modality", "structure", "kid", "clip_score", "edit_regions")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    export_miniworld(folder, count=COUNT)
    return folder


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    system = StandIn()
    monkeypatch.setattr(run_suite, "create_system", create(system))
    return system


@pytest.fixture
def extractor(monkeypatch: pytest.MonkeyPatch) -> MeanColors:
    extractor = MeanColors()
    monkeypatch.setattr(run_suite, "find_extractors", lambda names, model: extractors(extractor))
    return extractor


def run(suite: str, out: Path, data: Path | None, **options: object) -> dict:
    return run_standard(suite, StandardOptions("nano", out, data, **options))


def values(content: dict, name: str) -> dict[str, float]:
    return {row["system"]: row["value"] for row in content["rows"] if row["name"] == name}


def test_every_metric_of_the_table_exists() -> None:
    assert {name for protocol in PROTOCOLS.values() for name in protocol.metrics} <= set(METRICS)


def test_true_media_have_true_modalities_and_the_table_names_floor_and_ceiling(
    tmp_path: Path, data: Path, system: StandIn, extractor: MeanColors
) -> None:
    content = run("coco-t2i", tmp_path / "run", data, metrics=("kid", "clip_score", "modality"))
    assert values(content, "modality.exact") == {"direct": 1.0, "truth": 1.0, "shuffled": 1.0}
    assert values(content, "kid")["truth"] < values(content, "kid")["direct"]
    report = (tmp_path / "run" / "report.md").read_text()
    assert "| metric | direct | n | floor | ceiling | published (protocol unstated) |" in report
    assert "mean-colors (000000000000)" in report
    assert json.loads((tmp_path / "run" / SCORES_FILE).read_text()) == content


def test_the_true_caption_is_no_reference_of_itself(tmp_path: Path, data: Path, system: StandIn) -> None:
    content = run("coco-i2t", tmp_path, data, metrics=("bleu_4", "rouge_l"))
    assert 0 < values(content, "rouge_l")["truth"] < 1
    assert values(content, "rouge_l")["direct"] < values(content, "rouge_l")["truth"]
    assert values(content, "rouge_l")["shuffled"] < values(content, "rouge_l")["truth"]


def test_edits_are_scored_inside_and_outside_the_mask(tmp_path: Path, data: Path, system: StandIn) -> None:
    content = run("edit-image", tmp_path, data, metrics=("edit_regions",), systems=("unchanged",))
    inside, outside = values(content, "edit_regions.inside"), values(content, "edit_regions.outside")
    assert outside["truth"] == 0 < outside["direct"]
    assert inside["truth"] > 0 == inside["unchanged"] == outside["unchanged"]


@pytest.mark.parametrize(
    "suite", ["audiocaps-t2a", "msrvtt-t2v", "msrvtt-v2t", "edit-audio", "modality-choice", "unim"]
)
def test_every_suite_runs_on_the_export(suite: str, tmp_path: Path, data: Path, system: StandIn) -> None:
    metric = {"msrvtt-v2t": "rouge_l", "unim": "structure"}.get(suite, "modality")
    content = run(suite, tmp_path, data, metrics=(metric,))
    assert {row["system"] for row in content["rows"]} == {"direct", "truth", "shuffled"}
    assert all(row["cases"] for row in content["rows"] if "." not in row["name"])


def test_a_finished_run_is_scored_again_without_answers_and_features(
    tmp_path: Path, data: Path, system: StandIn, extractor: MeanColors
) -> None:
    first = run("coco-t2i", tmp_path, data, metrics=("kid",))
    answered, extracted = len(system.batches), extractor.extracted
    assert extracted == 2 * COUNT  # the answers of direct, and the true media of the references, truth and shuffled
    shutil.rmtree(tmp_path / RESULTS_DIR)  # features alone
    assert run("coco-t2i", tmp_path, data, metrics=("kid",)) == first
    assert (len(system.batches), extractor.extracted) == (answered, extracted)


def test_a_second_scoring_computes_only_values_that_may_have_changed(
    tmp_path: Path, data: Path, system: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[str] = []
    plain = scoring.compute_metric
    monkeypatch.setattr(
        scoring, "compute_metric", lambda name, *args, **options: computed.append(name) or plain(name, *args, **options)
    )
    first = run("coco-i2t", tmp_path, data, metrics=("rouge_l", "cider_d"))
    assert len(computed) == 2 * 3  # two metrics, three systems
    assert run("coco-i2t", tmp_path, data, metrics=("rouge_l", "cider_d")) == first
    assert len(computed) == 6
    run("coco-i2t", tmp_path, data, metrics=("rouge_l", "bleu_4"))
    assert computed[6:] == ["bleu_4"] * 3
    records = tmp_path / "direct" / RECORDS_FILE
    records.write_text(records.read_text().replace("red cat", "blue dog"))
    run("coco-i2t", tmp_path, data, metrics=("rouge_l",))
    assert computed[9:] == ["rouge_l"]
    monkeypatch.setattr(result_store, "metrics_code_hash", lambda: "another version")
    run("coco-i2t", tmp_path, data, metrics=("rouge_l",))
    assert computed[10:] == ["rouge_l"] * 3


def test_scoring_a_finished_run_imports_no_torch(tmp_path: Path, data: Path, system: StandIn) -> None:
    run("modality-choice", tmp_path, data)
    code = f"""
import sys
from pathlib import Path
from nextgpt.evaluate.standard.run_suite import StandardOptions, run_standard
run_standard("modality-choice", StandardOptions("nano", Path({str(tmp_path)!r}), Path({str(data)!r})))
sys.exit("torch" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_an_interrupted_run_continues_with_the_same_batches(
    tmp_path: Path, data: Path, system: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_suite, "BATCH_SIZE", 2)
    whole = run("coco-t2i", tmp_path / "whole", data, metrics=("modality",))
    run("coco-t2i", tmp_path / "torn", data, metrics=("modality",))
    records = tmp_path / "torn" / "direct" / RECORDS_FILE
    lines = records.read_bytes().splitlines(keepends=True)
    records.write_bytes(b"".join([*lines[:3], lines[3][:50]]))  # one batch is complete
    system.batches.clear()
    assert run("coco-t2i", tmp_path / "torn", data, metrics=("modality",)) == whole
    assert [len(batch) for batch in system.batches] == [2, 1]
    assert media_bytes(tmp_path / "whole") == media_bytes(tmp_path / "torn")


def media_bytes(run_dir: Path) -> dict[str, bytes]:
    paths = sorted(run_dir.glob("direct/media/**/*.*"))
    return {path.relative_to(run_dir).as_posix(): path.read_bytes() for path in paths}


CHILD = """
import sys
from pathlib import Path
from nextgpt.evaluate.standard import result_store, run_suite, scoring
from tests.evaluate.stand_ins import StandIn, create
run_suite.create_system, run_suite.BATCH_SIZE = create(StandIn(delay_s=0.05)), 1
options = run_suite.StandardOptions("nano", Path(sys.argv[2]), Path(sys.argv[1]), metrics=("modality",))
print("started", flush=True)
run_suite.run_standard("coco-t2i", options)
"""


def test_a_run_that_is_killed_gives_the_same_result(tmp_path: Path, data: Path) -> None:
    def start(out: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", CHILD, str(data), str(tmp_path / out)]
        root = Path(__file__).parents[3]
        return subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True)

    for seconds in (0.02, 0.15, 0.3):
        child = start("killed")
        assert child.stdout is not None and child.stdout.readline() == "started\n"
        time.sleep(seconds)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    for out in ("killed", "whole"):
        assert start(out).wait() == 0
    killed, whole = (json.loads((tmp_path / out / SCORES_FILE).read_text()) for out in ("killed", "whole"))
    assert killed == whole
    assert media_bytes(tmp_path / "killed") == media_bytes(tmp_path / "whole")
    assert [r.id for r in open_run(tmp_path / "killed").records("direct")] == [
        item.id for item in open_run(tmp_path / "whole").items
    ]


def test_an_item_that_cannot_be_answered_is_left_out_with_its_reason(
    tmp_path: Path, data: Path, system: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = system.answer

    def answer(items, seeds):
        if any(item.id == "2" for item in items):
            raise ConversationError("item 2\nis too long")
        return plain(items, seeds)

    monkeypatch.setattr(system, "answer", answer)
    content = run("coco-t2i", tmp_path, data, metrics=("modality",))
    row = next(row for row in content["rows"] if row["system"] == "direct")
    assert (row["cases"], row["left_out"]) == (COUNT - 1, {"item 2 is too long": 1})
    line = (
        "- Left out of modality.exact, modality.image.precision, modality.image.recall, direct: 1 (item 2 is too long)."
    )
    assert line in (tmp_path / "report.md").read_text()


def test_media_that_are_missing_are_counted(tmp_path: Path, system: StandIn) -> None:
    export_miniworld(tmp_path / "data", count=3)
    next((tmp_path / "data" / "audiocaps" / "audio").glob("*.wav")).unlink()
    content = run("audiocaps-t2a", tmp_path / "run", tmp_path / "data", metrics=("modality",))
    assert content["run"]["left_out"] == {"missing file": 1}
    assert next(row for row in content["rows"])["cases"] == 2
    for file in (tmp_path / "data" / "audiocaps" / "audio").glob("*.wav"):
        file.unlink()
    with pytest.raises(
        ConfigError, match=r"test\.csv lists 3 media, of which 0 are in .* expected files such as small"
    ):
        run("audiocaps-t2a", tmp_path / "other", tmp_path / "data")


def damage(path: Path, content: bytes = b"no medium") -> None:
    path.write_bytes(content)


def test_items_whose_true_medium_is_damaged_are_left_out_of_all_metrics(
    tmp_path: Path, system: StandIn, extractor: MeanColors
) -> None:
    export_miniworld(tmp_path / "data", count=COUNT)
    images = sorted((tmp_path / "data" / "coco" / "val2014").glob("*.png"))
    damage(images[0])
    damage(images[1])
    damage(images[2], b"")
    content = run("coco-t2i", tmp_path / "run", tmp_path / "data", metrics=("kid", "clip_score", "modality"))
    rows = {row["name"]: row for row in content["rows"] if row["system"] == "direct"}
    reasons = {"a medium has content of unknown type": 2, "a medium is empty": 1}  # without names of files
    for name in ("kid", "clip_score", "modality.exact"):
        assert (rows[name]["cases"], rows[name]["left_out"]) == (COUNT - 3, reasons)
    assert rows["clip_score"]["judge"] is not None
    floor = next(row for row in content["rows"] if (row["name"], row["system"]) == ("kid", "shuffled"))
    assert set(floor["left_out"]) == set(reasons)


def test_a_damaged_mask_true_sound_or_source_leaves_its_item_out(
    tmp_path: Path, system: StandIn, extractor: MeanColors
) -> None:
    data = tmp_path / "data"
    export_miniworld(data, count=COUNT)
    damage(data / "edit-image" / "00000-mask.png")
    content = run("edit-image", tmp_path / "image", data, metrics=("edit_regions",))
    rows = {row["name"]: row for row in content["rows"] if row["system"] == "direct"}
    reason = {"a medium has content of unknown type": 1}
    assert rows["edit_regions.inside"]["left_out"].items() >= reason.items()
    assert rows["edit_regions.inside"]["cases"] == COUNT - 1
    damage(data / "edit-audio" / "00001-target.wav")
    content = run("edit-audio", tmp_path / "audio", data, metrics=("mcd",))
    row = next(row for row in content["rows"] if row["system"] == "direct")
    assert (row["cases"], row["left_out"]) == (COUNT - 1, reason)
    lines = (data / "edit-image" / "edits.jsonl").read_text().splitlines()
    edits = [{name: value for name, value in json.loads(line).items() if name != "target"} for line in lines]
    (data / "edit-image" / "edits.jsonl").write_text("".join(json.dumps(edit) + "\n" for edit in edits))
    damage(data / "edit-image" / "00002-source.png")  # without targets, sources are the true pictures of distances
    content = run("edit-image", tmp_path / "sources", data, metrics=("kid",))
    row = next(row for row in content["rows"] if row["system"] == "direct")
    assert (row["cases"], row["left_out"]) == (COUNT - 1, reason)


@pytest.mark.parametrize(
    ("suite", "metric", "message"),
    [
        (
            "coco-t2i",
            "rouge_l",
            r"metric rouge_l: it scores text, and coco-t2i answers with image; expected one of fid,",
        ),
        ("coco-t2i", "mcd", "metric mcd: it scores audio, and coco-t2i answers with image"),
        ("edit-video", "edit_regions", "metric edit_regions: it scores image, and edit-video answers with video"),
        ("coco-i2t", "clip_score", "metric clip_score: no extractor gives features of media and texts of text"),
        ("msrvtt-t2v", "is", "metric is: no extractor gives class probabilities of video"),
        ("coco-i2t", "meteor", "metric meteor: METEOR needs Java and the package pycocoevalcap"),
    ],
)
def test_a_chosen_metric_that_cannot_be_computed_is_refused_before_the_work(
    suite: str,
    metric: str,
    message: str,
    tmp_path: Path,
    data: Path,
    system: StandIn,
    extractor: MeanColors,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ConfigError, match=message):
        run(suite, tmp_path / "run", data, metrics=(metric,))
    assert system.batches == [] and not (tmp_path / "run").exists()


def test_a_metric_of_the_suite_that_cannot_be_computed_is_named_in_the_report(
    tmp_path: Path, data: Path, system: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    content = run("coco-i2t", tmp_path, data)
    assert {row["name"] for row in content["rows"]} == {"bleu_4", "rouge_l", "cider_d"}
    assert [note.partition(":")[0] for note in content["notes"]] == ["meteor", "spice", "spider"]


@pytest.mark.parametrize(
    ("suite", "options", "message"),
    [
        ("coco-t2i", {"metrics": ("kidd",)}, r"metric 'kidd' is unknown; .* Did you mean 'kid'\?"),
        ("coco-t2i", {"systems": ("cascades",)}, r"system 'cascades' is unknown; .* Did you mean 'cascade'\?"),
        ("coco-t2i", {"systems": ("openai",)}, r"got the system 'openai'; expected openai:http"),
        ("coco-t2i", {"systems": ("direct:x",)}, r"got the system 'direct:x'; expected direct\."),
    ],
)
def test_unknown_names_are_refused_in_one_line(
    suite: str, options: dict, message: str, tmp_path: Path, data: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        run(suite, tmp_path, data, **options)


def test_data_of_another_form_are_refused_in_one_line(tmp_path: Path, data: Path) -> None:
    with pytest.raises(ConfigError, match=r"needs a corpus; expected --data DIR"):
        run("coco-t2i", tmp_path / "run", None)
    with pytest.raises(ConfigError, match=r"has no annotations; expected one of: COCO: annotations/captions_val2014"):
        run("coco-t2i", tmp_path / "run", tmp_path)
    broken = tmp_path / "captions_val2014.json"
    for content, message in (
        ("[", "is no JSON"),
        ("[]", "has no images and annotations"),
        ('{"images": []}', "has no annot"),
    ):
        broken.write_text(content)
        with pytest.raises(ConfigError, match=message):
            run("coco-t2i", tmp_path / "run", tmp_path)
    broken.write_text('{"images": [{"id": 1}], "annotations": [{"image_id": 1}]}')
    with pytest.raises(ConfigError, match=r"is no annotation file of COCO \(KeyError: 'caption'\)"):
        run("coco-t2i", tmp_path / "run", tmp_path)
    edits = tmp_path / "edits.jsonl"
    edits.write_text('{"id": "1", "source": "a.png"}\n')
    with pytest.raises(ConfigError, match=r"edits\.jsonl, line 1, instruction: Field required"):
        run("edit-image", tmp_path / "run", tmp_path)


def test_captions_without_media_and_media_without_captions_are_counted(tmp_path: Path, system: StandIn) -> None:
    export_miniworld(tmp_path / "data", count=3)
    file = tmp_path / "data" / "msrvtt" / "test_videodatainfo.json"
    content = json.loads(file.read_text())
    content["sentences"] = [row for row in content["sentences"] if row["video_id"] != "video0"]
    content["sentences"].append({"video_id": "video9", "sen_id": 99, "caption": "Nothing."})
    file.write_text(json.dumps(content))
    scores = run("msrvtt-v2t", tmp_path / "run", tmp_path / "data", metrics=("rouge_l",))
    expected = {"captions of a video that is not listed": 1, "medium without a caption": 1}
    assert scores["run"]["left_out"] == expected


def test_the_seed_chooses_items_and_captions(tmp_path: Path, data: Path, system: StandIn) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run("coco-t2i", tmp_path / name, data, seed=seed, limit=4, metrics=("modality",))
    a, b, c = (open_run(tmp_path / name).items for name in "abc")
    assert a == b != c


def test_audiocaps_files_are_found_by_the_usual_names(tmp_path: Path, system: StandIn) -> None:
    export_miniworld(tmp_path, count=4)
    folder = tmp_path / "audiocaps"
    rows = list(csv.DictReader((folder / "test.csv").open()))
    ids = list(dict.fromkeys(row["youtube_id"] for row in rows))
    starts = {row["youtube_id"]: row["start_time"] for row in rows}
    for youtube_id, name in zip(
        ids, (f"Y{ids[0]}", f"{ids[1]}_{starts[ids[1]]}", ids[2], rows[15]["audiocap_id"]), strict=True
    ):
        (folder / "audio" / f"{youtube_id}.wav").rename(folder / "audio" / f"{name}.wav")
    content = run("audiocaps-a2t", tmp_path / "run", tmp_path, metrics=("rouge_l",))
    assert content["run"]["left_out"] == {} and content["rows"][0]["cases"] == 4


def test_stamps_are_read_from_the_unpacked_package(tmp_path: Path, system: StandIn) -> None:
    export_miniworld(tmp_path / "export", count=2)
    images = sorted((tmp_path / "export" / "coco" / "val2014").glob("*.png"))
    folder = tmp_path / "package" / "usr" / "share" / "tuxpaint" / "stamps" / "animals"
    folder.mkdir(parents=True)
    for name, image in zip(("frog", "owl"), images, strict=True):
        image.rename(folder / f"{name}.png")
        (folder / f"{name}.txt").write_text(f"A {name}.\nde.utf8=Ein Tier.\n")
    run("coco-t2i", tmp_path / "run", tmp_path / "package", metrics=("modality",))
    captions = {item.target_caption for item in open_run(tmp_path / "run").items}
    assert captions == {"A frog.", "A owl."}
    assert "- Data: 2 items in the form of tuxpaint-stamps." in (tmp_path / "run" / "report.md").read_text()


def test_systems_are_compared_on_the_items_that_both_answered(
    tmp_path: Path, data: Path, system: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = StandIn()
    monkeypatch.setattr(silent, "answer", lambda items, seeds: [Reply((Text("No."),)) for _ in items])
    plain = create(system)
    monkeypatch.setattr(
        run_suite, "create_system", lambda name, context: silent if name == "cascade" else plain(name, context)
    )
    content = run("coco-t2i", tmp_path, data, metrics=("modality",), systems=("cascade", "true-caption"))
    tests = {tuple(test["systems"]): test for test in content["comparisons"]}
    assert set(tests) == {("direct", "cascade"), ("direct", "true-caption")}
    assert (tests["direct", "cascade"]["difference"], tests["direct", "cascade"]["n"]) == (1.0, COUNT)
    assert tests["direct", "true-caption"]["p_value"] == 1.0
    monkeypatch.setattr(run_suite, "find_extractors", lambda names, model: extractors(MeanColors()))
    content = run("coco-t2i", tmp_path, data, metrics=("clip_score",), systems=("cascade",))
    row = next(row for row in content["rows"] if row["system"] == "cascade")
    assert (row["value"], row["cases"], row["left_out"]) == (None, 0, {"no image in the answer": COUNT})
