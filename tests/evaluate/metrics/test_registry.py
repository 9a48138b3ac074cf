from __future__ import annotations

import pytest

from nextgpt.errors import ConfigError
from nextgpt.evaluate.metrics import INPUTS, METRICS, compute_metric


def test_every_row_needs_documented_inputs():
    assert all(name == metric.name for name, metric in METRICS.items())
    assert {need for metric in METRICS.values() for need in metric.needs} <= set(INPUTS)


def test_an_unknown_metric_names_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean 'modality'"):
        compute_metric("modalities", {})


def test_missing_and_unequal_inputs_are_named():
    with pytest.raises(ConfigError, match="expected_modalities: modalities that each item asks for"):
        compute_metric("modality", {"chosen_modalities": [["image"]]})
    with pytest.raises(ConfigError, match="2 chosen_modalities, 1 expected_modalities"):
        compute_metric("modality", {"chosen_modalities": [["image"], []], "expected_modalities": [["image"]]})


def test_items_that_were_not_scored_are_counted_by_reason():
    inputs = {"chosen_modalities": [["image"]], "expected_modalities": [["image"]], "texts": ["ignored"]}
    exact, *_ = compute_metric("modality", inputs, left_out={"no reply": 3, "unused": 0})
    assert exact.to_dict()["left_out"] == {"no reply": 3}
    assert exact.n == 1
