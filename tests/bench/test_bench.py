from __future__ import annotations

import json
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
from nextgpt.message import Conversation
from nextgpt.modality import MODALITIES
from nextgpt.testing.model import write_tiny_model
from nextgpt.testing.scripted_model import tiny_image

NAMES = ["cold_start", "peak_memory", "first_token", "token", "image", "audio", "video", "turn", "batch_of_8"]
RESULTS = Results("tiny", "machine", (ComparisonResult("image", 0.5, 4.0, 8.0, "s"),))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_tiny_model(tmp_path_factory.mktemp("tiny"))
    config = folder / "llm" / "config.json"  # an untrained model may find no end, in any of its five turns
    config.write_text(json.dumps(json.loads(config.read_text()) | {"max_position_embeddings": 1024}))
    return folder


@pytest.fixture(scope="module")
def ours(home: Path) -> Candidate:
    return Candidate(home)


@pytest.fixture(scope="module")
def reference(home: Path) -> Baseline:
    return Baseline(home)


def test_both_run_in_turns_and_medians_count_without_warm_ups() -> None:
    order: list[str] = []
    times = {"ours": iter([100.0, 1.0, 3.0, 2.0]), "reference": iter([100.0, 9.0, 7.0, 8.0])}

    def measure(who: str) -> float:
        order.append(who)
        return next(times[who])

    told: list[tuple[int, int]] = []
    race = Comparison("row", "s", lambda: measure("ours"), lambda: measure("reference"), runs=3)
    assert run_comparison(race, lambda *done: told.append(done)) == ComparisonResult(
        "row", 2.0, 8.0, 4.0, "s"
    )
    assert order == ["ours", "reference"] * 4
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_the_rows_are_those_of_the_contract(home: Path) -> None:
    assert sorted(race.name for race in suite.all_comparisons(home, runs=1)) == sorted(NAMES)


def test_no_picture_comes_twice() -> None:
    fresh = unseen_images()
    assert len({next(fresh).digest for _ in range(200)}) == 200


def test_eight_conversations_hold_two_of_each_kind() -> None:
    asked = batch_of_8(unseen_images())
    assert len(asked) == 8
    assert [len(talk.media) for talk in asked] == [0] * 6 + [1] * 2


def test_another_picture_takes_the_place_of_the_first() -> None:
    first, other = tiny_image(), tiny_image((0, 255, 0))
    talk = (
        Conversation()
        .with_message([first, "What is this?"])
        .with_message("A square.", role="assistant")
        .with_message("Thanks")
    )
    changed = with_image(talk, other)
    assert changed.media == (other,) and [m.text for m in changed] == [m.text for m in talk]


def test_ours_is_measured_at_everything(ours: Candidate) -> None:
    held = ours.converse(tiny_image())
    assert len(held) == 1 + len(REQUESTS) and all(exchange.tokens > 0 for exchange in held)
    assert ours.first_token_s() > 0 and ours.token_s(held[-1]) > 0
    assert all(ours.medium_s(modality) > 0 for modality in MODALITIES)


def test_the_reference_does_the_same_work(ours: Candidate, reference: Baseline) -> None:
    held = ours.converse(tiny_image())[:2]
    assert reference.first_token_s() > 0 and reference.token_s(held[0]) > 0 and reference.turn_s(held) > 0
    assert [reference.make(modality).modality for modality in MODALITIES] == list(MODALITIES)


def test_the_reference_takes_fifty_steps_of_two_calls(
    reference: Baseline, monkeypatch: pytest.MonkeyPatch
) -> None:
    denoiser, calls = reference._diffusion["image"][0].parts.denoiser, count()

    def tally(*_: object) -> None:  # what a hook returns would take the place of the output
        next(calls)

    handle = denoiser.register_forward_hook(tally)
    reference.make("image")
    handle.remove()
    assert next(calls) == 100


def test_the_reference_hears_all_media_again_in_every_turn(reference: Baseline) -> None:
    encoded: list[int] = []
    handle = reference._encoder.register_forward_hook(lambda *_: encoded.append(1))
    encode = reference._encoder.encode
    reference._encoder.encode = lambda media: encoded.append(len(media)) or encode(media)
    talk = question_about("image")
    reference._speak(talk, 1)
    reference._speak(talk.with_message("A cat.", role="assistant").with_message("Really?"), 1)
    del reference._encoder.encode
    handle.remove()
    assert encoded.count(1) >= 2


@pytest.mark.slow
def test_fresh_processes_tell_their_time_and_memory(home: Path) -> None:
    assert process.cold_start_s("ours", home) > 0
    assert 50 < process.peak_memory_mib("reference", home) < 10_000


def test_a_process_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="(?s)ended without an answer.*config.json"):
        process.cold_start_s("ours", tmp_path)


def test_values_are_those_of_the_contract() -> None:
    row = {"name": "image", "value": 0.5, "reference": 4.0, "ratio": 8.0, "unit": "s"}
    assert RESULTS.as_values() == {"model": "tiny", "machine": "machine", "rows": [row]}


def test_the_table_names_the_machine() -> None:
    assert "| tiny on machine | nextgpt | reference | unit | ratio |" in to_markdown(
        "tiny", "machine", RESULTS.rows
    )
    assert "| image | 0.5 | 4 | s | 8.0 × |" in to_markdown("tiny", "machine", RESULTS.rows)
    assert "threads" in describe_machine()


def test_the_command_prints_one_json_object(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(suite, "bench", lambda model, *, runs, tell: RESULTS)
    assert main(["bench", "tiny", "--runs", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == RESULTS.as_values()
