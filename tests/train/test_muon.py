"""Muon of many matrices at once, beside torch's."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nextgpt.train import muon
from nextgpt.train.muon import BatchedMuon, newton_schulz
from nextgpt.train.optim import create_optimizers

SHAPES = ((8, 8), (24, 8), (8, 24), (8, 8), (24, 8), (8, 8))


def matrices() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


@pytest.mark.parametrize(("fastest", "tolerance"), [("float32", 0.03), ("bfloat16", 0.01)])
def test_it_steps_as_torchs_does_to_the_rounding_of_bfloat16(
    fastest: str, tolerance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch's iterates in bfloat16, so that the same arithmetic comes closer to it than float32."""
    monkeypatch.setattr(muon, "fastest_training_dtype", lambda: fastest)
    ours, theirs = matrices(), matrices()
    optimizers = [kind(of, lr=0.1, weight_decay=0.1) for kind, of in ((BatchedMuon, ours), (torch.optim.Muon, theirs))]
    generator = torch.Generator().manual_seed(1)
    for _ in range(5):
        for mine, other in zip(ours, theirs, strict=True):
            mine.grad = torch.randn(mine.shape, generator=generator)
            other.grad = mine.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    moved = [(mine - start).norm() for mine, start in zip(ours, matrices(), strict=True)]
    for mine, other, way in zip(ours, theirs, moved, strict=True):
        assert (mine - other).norm() < tolerance * way


@pytest.mark.parametrize("has_zeros", [False, True])
def test_what_has_no_gradient_or_none_but_zeros_stays(has_zeros: bool) -> None:
    ours = matrices()
    before = [matrix.detach().clone() for matrix in ours]
    for matrix in ours:
        matrix.grad = torch.zeros_like(matrix) if has_zeros else None
    ours[3].grad = torch.ones_like(ours[3])
    BatchedMuon(ours, lr=0.1, weight_decay=0.1).step()
    assert [torch.equal(*pair) for pair in zip(ours, before, strict=True)] == [True, True, True, False, True, True]


def test_a_state_of_torchs_is_taken_up() -> None:
    theirs, ours = torch.optim.Muon(matrices(), lr=0.1), BatchedMuon(matrices(), lr=0.1)
    for optimizer in (theirs, ours):
        for matrix in optimizer.param_groups[0]["params"]:
            matrix.grad = torch.ones_like(matrix)
        optimizer.step()
    saved = theirs.state_dict()["state"]
    for number, state in ours.state_dict()["state"].items():
        assert torch.equal(state["momentum_buffer"], saved[number]["momentum_buffer"])
    ours.load_state_dict(theirs.state_dict())


def test_singular_values_come_near_to_one_and_zeros_stay_zeros() -> None:
    drawn = torch.stack([torch.randn(6, 4, generator=torch.Generator().manual_seed(3)), torch.zeros(6, 4)])
    found = newton_schulz(drawn, (3.4445, -4.7750, 2.0315), 5, 1e-7).float()
    assert ((torch.linalg.svdvals(found[0]) - 1).abs() < 0.4).all() and not found[1].any()


def test_matrices_of_the_optimizers_go_through_it() -> None:
    network = nn.ModuleDict({"blocks": nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])})
    _, optimizer = create_optimizers([network], learning_rate=1e-3, muon_learning_rate=0.02, weight_decay=0.0)
    assert isinstance(optimizer, BatchedMuon)
