"""Which optimizer takes which parameter."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim import AdamW, Optimizer

from nextgpt.train.optim import create_optimizers


class Network(nn.Module):
    """Everything that the models of this project have: an embedding, blocks of matrices and kernels, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 4)
        self.blocks = nn.ModuleList([nn.ModuleDict({"wide": nn.Linear(4, 6), "norm": nn.LayerNorm(6)})])
        self.convolutions = nn.Sequential(nn.Conv2d(2, 3, 3))
        self.head = nn.Linear(4, 2)
        self.queries = nn.Parameter(torch.zeros(1, 2, 4))


IN_BLOCKS = {"blocks.0.wide.weight", "convolutions.0.weight"}
VECTORS = {
    "blocks.0.wide.bias", "blocks.0.norm.weight", "blocks.0.norm.bias", "convolutions.0.bias", "head.bias"
}  # fmt: skip
OTHERS = {"embedding.weight", "head.weight", "queries"}


def create(network: nn.Module, muon_learning_rate: float | None) -> list[Optimizer]:
    return create_optimizers([network], learning_rate=1e-3, muon_learning_rate=muon_learning_rate, weight_decay=0.1)


def names(network: nn.Module, parameters: list[torch.Tensor]) -> set[str]:
    """By memory, as Muon holds matrices that share that of the parameters."""
    places = {parameter.data_ptr(): name for name, parameter in network.named_parameters()}
    return {places[parameter.data_ptr()] for parameter in parameters}


def test_muon_takes_matrices_and_kernels_in_blocks_and_adamw_the_rest() -> None:
    network = Network()
    adamw, muon = create(network, 0.02)
    decayed, undecayed = adamw.param_groups
    assert names(network, muon.param_groups[0]["params"]) == IN_BLOCKS
    assert names(network, decayed["params"]) == OTHERS and decayed["weight_decay"] == 0.1
    assert names(network, undecayed["params"]) == VECTORS and undecayed["weight_decay"] == 0.0
    assert (decayed["lr"], muon.param_groups[0]["lr"]) == (1e-3, 0.02)


def test_without_a_rate_for_muon_adamw_takes_everything() -> None:
    network = Network()
    (adamw,) = create(network, None)
    assert isinstance(adamw, AdamW)
    taken = [names(network, group["params"]) for group in adamw.param_groups]
    assert taken == [IN_BLOCKS | OTHERS, VECTORS]


def test_what_needs_no_gradient_is_in_no_optimizer() -> None:
    network = Network()
    network.blocks.requires_grad_(False)
    adamw, muon = create(network, 0.02)
    held = [p for optimizer in (adamw, muon) for group in optimizer.param_groups for p in group["params"]]
    assert names(network, held) == {name for name in IN_BLOCKS | VECTORS | OTHERS if not name.startswith("blocks.")}


def test_a_step_of_muon_moves_kernels_in_place() -> None:
    network = Network()
    kernel = network.convolutions[0].weight
    before = kernel.detach().clone()
    _, muon = create(network, 0.02)
    kernel.grad = torch.randn_like(kernel)
    muon.step()
    moved = (kernel.detach() - before).flatten(1)
    assert network.convolutions[0].weight is kernel and moved.abs().max() > 0
    # The update of a matrix is orthogonalised: its singular values are alike.
    singular = torch.linalg.svdvals(moved + 0.02 * 0.1 * before.flatten(1))
    assert singular.min() > 0.5 * singular.max()


def test_modules_may_have_a_share_of_the_rates() -> None:
    network = Network()
    adamw, slow, fast = create_optimizers(
        [network], learning_rate=1e-3, muon_learning_rate=0.02, weight_decay=0.1, lr_multipliers={"convolutions": 0.1}
    )
    rates = {
        name: group["lr"]
        for optimizer in (adamw, slow, fast)
        for group in optimizer.param_groups
        for name in names(network, group["params"])
    }
    assert rates.keys() == dict(network.named_parameters()).keys()
    assert (rates["convolutions.0.weight"], rates["blocks.0.wide.weight"]) == (0.1 * 0.02, 0.02)
    assert (rates["convolutions.0.bias"], rates["head.bias"]) == (0.1 * 1e-3, 1e-3)
