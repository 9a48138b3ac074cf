from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from nextgpt.bench import benchmark as suite
from nextgpt.bench import process
from nextgpt.bench.baseline import Baseline
from nextgpt.bench.benchmark import Results, describe_machine
from nextgpt.bench.candidate import Candidate
from nextgpt.bench.comparison import Comparison, ComparisonResult, run_comparison, to_markdown
from nextgpt.bench.workload import REQUESTS, batch_of_8, question_about, unseen_images, with_image
from nextgpt.cli.app import main
from nextgpt.errors import ConfigError
from nextgpt.message import Conversation
from nextgpt.modality import MODALITIES
from nextgpt.testing.model import write_tiny_model
from nextgpt.testing.scripted_model import tiny_image

NAMES = ["cold_start", "peak_memory", "first_token", "token", "image", "audio", "video", "turn", "batch_of_8"]
RESULTS = Results("tiny", "machine", (ComparisonResult("image", 0.5, 4.0, 8.0, "s"),))


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_tiny_model(tmp_path_factory.mktemp("tiny"))
    config = folder / "llm" / "config.json"  # an untrained model may find no end, in any of its five turns
    config.write_text(json.dumps(json.loads(config.read_text()) | {"max_position_embeddings": 1024}))
    return folder


@pytest.fixture(scope="module")
def candidate(model_dir: Path) -> Candidate:
    return Candidate(model_dir)


@pytest.fixture(scope="module")
def baseline(model_dir: Path) -> Baseline:
    return Baseline(model_dir)


def test_both_run_in_turns_and_medians_count_without_warm_ups() -> None:
    order: list[str] = []
    times = {"candidate": iter([100.0, 1.0, 3.0, 2.0]), "baseline": iter([100.0, 9.0, 7.0, 8.0])}

    def measure(who: str) -> float:
        order.append(who)
        return next(times[who])

    progress: list[tuple[int, int]] = []
    comparison = Comparison("row", "s", lambda: measure("candidate"), lambda: measure("baseline"), runs=3)
    assert run_comparison(comparison, lambda *done: progress.append(done)) == ComparisonResult(
        "row", 2.0, 8.0, 4.0, "s"
    )
    assert order == ["candidate", "baseline"] * 4
    assert progress == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_the_rows_are_those_of_the_contract(model_dir: Path) -> None:
    names = [comparison.name for comparison in suite.all_comparisons(model_dir, runs=1)]
    assert sorted(names) == sorted(NAMES) == sorted(suite.ROW_NAMES)


def test_single_rows_are_measured_without_the_rest(model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def rows(*_: object) -> Iterator[Comparison]:
        yield from (Comparison(name, "s", lambda: 1.0, lambda: 2.0, runs=1) for name in ("cold_start", "token"))
        raise AssertionError("no row after the last one that was asked for")

    monkeypatch.setattr(suite, "all_comparisons", rows)
    assert [row.name for row in suite.bench(str(model_dir), row_names=["token"]).rows] == ["token"]
    with pytest.raises(ConfigError, match="row 'tokens' is unknown; .*'token'"):
        suite.bench(str(model_dir), row_names=["tokens"])


def test_no_picture_comes_twice() -> None:
    fresh = unseen_images()
    assert len({next(fresh).digest for _ in range(200)}) == 200


def test_eight_conversations_hold_two_of_each_kind() -> None:
    conversations = batch_of_8(unseen_images())
    assert len(conversations) == 8
    assert [len(conversation.media) for conversation in conversations] == [0] * 6 + [1] * 2


def test_another_picture_takes_the_place_of_the_first() -> None:
    first, other = tiny_image(), tiny_image((0, 255, 0))
    conversation = (
        Conversation()
        .with_message([first, "What is this?"])
        .with_message("A square.", role="assistant")
        .with_message("Thanks")
    )
    changed = with_image(conversation, other)
    assert changed.media == (other,) and [m.text for m in changed] == [m.text for m in conversation]


def test_ours_is_measured_at_everything(candidate: Candidate) -> None:
    turns = candidate.run_conversation(tiny_image())
    assert len(turns) == 1 + len(REQUESTS) and all(turn.tokens > 0 for turn in turns)
    assert candidate.first_token_s() > 0 and candidate.token_s(turns[-1]) > 0
    assert all(candidate.medium_s(modality) > 0 for modality in MODALITIES)


def test_the_reference_does_the_same_work(candidate: Candidate, baseline: Baseline) -> None:
    turns = candidate.run_conversation(tiny_image())[:2]
    assert baseline.first_token_s() > 0 and baseline.token_s(turns[0]) > 0 and baseline.turn_s(turns) > 0
    assert [baseline.synthesize(modality).modality for modality in MODALITIES] == list(MODALITIES)


def test_the_reference_takes_fifty_steps_of_two_calls(baseline: Baseline, monkeypatch: pytest.MonkeyPatch) -> None:
    denoiser, calls = baseline._synthesizers["image"][0].components.denoiser, count()

    def tally(*_: object) -> None:  # what a hook returns would take the place of the output
        next(calls)

    handle = denoiser.register_forward_hook(tally)
    baseline.synthesize("image")
    handle.remove()
    assert next(calls) == 100


def test_the_reference_hears_all_media_again_in_every_turn(baseline: Baseline) -> None:
    encoded: list[int] = []
    handle = baseline._encoder.register_forward_hook(lambda *_: encoded.append(1))
    encode = baseline._encoder.encode
    baseline._encoder.encode = lambda media: encoded.append(len(media)) or encode(media)
    conversation = question_about("image")
    baseline._generate(conversation, 1)
    baseline._generate(conversation.with_message("A cat.", role="assistant").with_message("Really?"), 1)
    del baseline._encoder.encode
    handle.remove()
    assert encoded.count(1) >= 2


@pytest.mark.slow
def test_fresh_processes_tell_their_time_and_memory(model_dir: Path) -> None:
    assert process.cold_start_s("candidate", model_dir) > 0
    assert 50 < process.peak_memory_mib("baseline", model_dir) < 10_000


def test_a_process_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="(?s)exited without output.*config.json"):
        process.cold_start_s("candidate", tmp_path)


def test_values_are_those_of_the_contract() -> None:
    row = {"name": "image", "value": 0.5, "reference": 4.0, "ratio": 8.0, "unit": "s"}
    assert RESULTS.to_dict() == {"model": "tiny", "machine": "machine", "rows": [row]}


def test_the_table_names_the_machine() -> None:
    assert "| tiny on machine | nextgpt | reference | unit | ratio |" in to_markdown("tiny", "machine", RESULTS.rows)
    assert "| image | 0.5 | 4 | s | 8.0 × |" in to_markdown("tiny", "machine", RESULTS.rows)
    assert "threads" in describe_machine()


def test_the_command_prints_one_json_object(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(suite, "bench", lambda model, *, runs, row_names, on_progress: RESULTS)
    assert main(["bench", "tiny", "--runs", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == RESULTS.to_dict()
