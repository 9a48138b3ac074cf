from __future__ import annotations

import numpy as np
import pytest

from nextgpt.evaluate.metrics import compute_metric


def test_the_clip_score_is_the_mean_cosine_beside_that_of_other_texts():
    generator = np.random.default_rng(0)
    prompts = generator.normal(size=(30, 16))
    outputs = 3 * prompts + generator.normal(size=(30, 16))
    (result,) = compute_metric("clip_score", {"output_features": outputs, "prompt_features": prompts})
    dots = outputs @ prompts.T / np.linalg.norm(outputs, axis=1)[:, None] / np.linalg.norm(prompts, axis=1)
    assert result.value == pytest.approx(np.diag(dots).mean())
    assert result.parameters["floor"] == pytest.approx(dots[~np.eye(30, dtype=bool)].mean())
    assert result.parameters["floor"] < result.low < result.value < result.high


def test_clipsim_averages_over_frames_before_items():
    prompts = np.array([[1.0, 0], [0, 2]])
    frames = [np.array([[1.0, 0], [0, 1]]), np.array([[0.0, 5]])]
    (result,) = compute_metric("clipsim", {"output_frames": frames, "prompt_features": prompts})
    assert result.item_values == (0.5, 1.0)
    assert result.value == 0.75


def test_a_frozen_video_has_the_highest_frame_consistency():
    frozen, moving, single = np.ones((4, 3)), np.eye(3), np.ones((1, 3))
    (result,) = compute_metric("clip_i", {"output_frames": [frozen, moving, single]})
    assert result.item_values == (pytest.approx(1), 0.0, 1.0)


def test_features_of_zero_have_no_similarity():
    (result,) = compute_metric("clap_score", {"output_features": np.zeros((1, 4)), "prompt_features": np.ones((1, 4))})
    assert (result.value, result.low) == (0.0, None)
