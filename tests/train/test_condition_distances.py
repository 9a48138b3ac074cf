"""Distances of conditions to their captions' embeddings, against loops."""

from __future__ import annotations

import math

import pytest
import torch

from nextgpt.errors import ConfigError
from nextgpt.train.losses import CONDITION_DISTANCES
from nextgpt.train.stages import DISTANCES, get_stage


def vectors(seed: int) -> torch.Tensor:
    return torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(seed))


def plain(name: str, said: list[float], wanted: list[float]) -> float:
    """The distance of two vectors."""
    differences = [(a - b) ** 2 for a, b in zip(said, wanted, strict=True)]
    lengths = math.sqrt(sum(a * a for a in said)) * math.sqrt(sum(b * b for b in wanted))
    return {
        "mse": sum(differences) / len(differences),
        "l2": math.sqrt(sum(differences)),
        "cosine": 1 - sum(a * b for a, b in zip(said, wanted, strict=True)) / lengths,
    }[name]


@pytest.mark.parametrize("name", DISTANCES)
def test_a_distance_is_the_mean_over_all_vectors(name: str) -> None:
    said, wanted = vectors(0), vectors(1)
    rows = zip(said.flatten(0, 1).tolist(), wanted.flatten(0, 1).tolist(), strict=True)
    expected = sum(plain(name, a, b) for a, b in rows) / 6
    torch.testing.assert_close(CONDITION_DISTANCES[name](said, wanted), torch.tensor(expected))


@pytest.mark.parametrize("name", DISTANCES)
def test_what_is_said_as_wanted_is_at_no_distance_and_has_finite_gradients(name: str) -> None:
    said = vectors(0).requires_grad_()
    CONDITION_DISTANCES[name](said, said.detach().clone()).backward()
    assert CONDITION_DISTANCES[name](said, said).item() == pytest.approx(0, abs=1e-6)
    assert said.grad.isfinite().all()


def test_a_stage_takes_other_losses_with_their_weights() -> None:
    stage = get_stage("decoding-alignment", {"cross_entropy": 1.0, "l2": 0.5, "denoising": 2.0})
    assert dict(stage.loss_weights) == {"cross_entropy": 1.0, "l2": 0.5, "denoising": 2.0} and stage.distances == (
        "l2",
    )
    assert stage.trainable == get_stage("decoding-alignment").trainable


@pytest.mark.parametrize(
    ("name", "losses", "said"),
    [
        ("encoding-alignment", {"cross_entropy": 1.0, "l2": 1.0}, "names l2; expected cross_entropy alone"),
        ("decoding-alignment", {}, "names none; expected at least one"),
    ],
)
def test_losses_in_which_nothing_trained_has_a_part_are_refused(name: str, losses: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        get_stage(name, losses)
