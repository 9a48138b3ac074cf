from __future__ import annotations

import pytest

from nextgpt.evaluate.miniworld import beyond_words
from nextgpt.evaluate.miniworld.beyond_words import KINDS, TRUTH, BeyondWords, measure_beyond_words, sample_items
from nextgpt.evaluate.miniworld.suite import RunOptions
from nextgpt.miniworld.render import render
from nextgpt.model.model_dir import resolve_model_dir


@pytest.mark.parametrize("kind", list(KINDS))
def test_true_answers_are_right_and_captions_cannot_be(kind: str):
    """The nearest medium that a caption can describe is within half a step, but not within a quarter."""
    for item in sample_items(kind, 12, seed=3):
        assert item.error(item.truth) <= 0.12 * item.step
        assert item.error(render(item.target_spec)) > 0.25 * item.step
        assert item.given.modality == item.truth.modality
        assert sum(weight for _, weight in item.mixture) == pytest.approx(1)
        assert item.mixture[0] == (item.target_spec, max(weight for _, weight in item.mixture))


def test_items_depend_on_the_seed_only():
    first, second, other = (sample_items("pitch", 3, seed)[2] for seed in (1, 1, 2))
    assert (first.request, first.given.digest) == (second.request, second.given.digest)
    assert other.given.digest != first.given.digest


def test_a_medium_of_another_modality_has_no_error():
    (picture,), (sound,) = sample_items("hue", 1, 0), sample_items("pitch", 1, 0)
    assert picture.error(sound.truth) is None
    assert sound.error(picture.truth) is None


@pytest.mark.slow
def test_all_systems_answer_all_items():
    outcomes = measure_beyond_words(resolve_model_dir("nano"), RunOptions(num_inference_steps=2), limit=1, seed=0)
    assert len(outcomes) == 5 * len(KINDS)
    assert all(outcome.is_within(0.25) for outcome in outcomes if outcome.system == TRUTH)
    captions = [outcome for outcome in outcomes if outcome.system == "true_caption"]
    assert all(outcome.output is not None for outcome in captions)


def test_the_suite_has_a_row_per_kind_threshold_and_system(monkeypatch):
    def measure(model_dir, options, *, limit: int, seed: int):
        items = [item for kind in KINDS for item in sample_items(kind, limit, seed)]
        outputs = {"direct": lambda item: item.truth, "cascade": lambda item: None, TRUTH: lambda item: item.truth}
        outputs["interpolated"] = lambda item: item.truth
        outputs["true_caption"] = lambda item: render(item.target_spec)
        return [
            beyond_words.Outcome(item, name, output(item), item.error(output(item)) if output(item) else None)
            for name, output in outputs.items()
            for item in items
        ]

    monkeypatch.setattr(beyond_words, "measure_beyond_words", measure)
    scores, samples = BeyondWords().evaluate(resolve_model_dir("nano"), RunOptions(), limit=2, seed=0)
    values = {score.name: (score.value, score.judge) for score in scores}
    assert len(values) == 24
    assert values["hue.quarter_step.direct"] == (1.0, 1.0)
    assert values["hue.half_step.cascade"] == (0.0, 1.0)
    assert values["pitch.quarter_step.true_caption"] == (0.0, 1.0)
    assert len(samples) == 6
