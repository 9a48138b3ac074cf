"""Start projections from those of a model with the same encoder and synthesizers but another LLM.

Only the layer on the LLM's side depends on the LLM: the last one of an input projection, the first one of an output
projection. It is fitted by ridge regression; all other weights are copied. Fresh projections need hours of training
with a frozen LLM to reach the same accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from nextgpt.errors import ConfigError
from nextgpt.message import Conversation
from nextgpt.model.nextgpt import NextGPT
from nextgpt.train.dataset import PLACEHOLDER_MEDIA

RIDGE = 1e-4
"""Ridge penalty as a fraction of the inputs' mean variance, chosen on held-out media of small."""
BATCH_SIZE = 50


def load_source(name: str | Path) -> NextGPT:
    """Load the model whose projections are copied."""
    return NextGPT.from_pretrained(name).requires_grad_(False)


@torch.no_grad()
def start_input_network(
    network: nn.Module,
    source: nn.Module,
    vectors: Float[Tensor, "B P E"],
    targets: Float[Tensor, "B K D"],
    mask: Bool[Tensor, "B K"],
) -> None:
    """Copy a resampler and fit its last layer, so that soft tokens with ``mask`` are near ``targets``.

    Raises:
        ConfigError: The networks differ in more than the last layer.
    """
    _copy_except(network, source, "leave")
    leave, network.leave = network.leave, nn.Identity()
    states = network(vectors)  # (B, K, width)
    network.leave = leave
    fit_linear(leave, states[mask], targets[mask])


@torch.no_grad()
def start_output_projection(
    model: NextGPT, source: NextGPT, modality: str, hidden: Float[Tensor, "B S D"], words: Sequence[str]
) -> None:
    """Copy an output projection and fit its first layer to the states of the source after the same words.

    Args:
        hidden: States of ``model`` at the signal tokens of media.
        words: The assistant's text before each medium.

    Raises:
        ConfigError: The projections differ in more than the first layer.
    """
    network, trained = model.output_projections[modality], source.output_projections[modality]
    _copy_except(network, trained, "fc")
    targets = trained.fc(signal_states(source, modality, words) + source.llm.span_embeddings(modality))
    inputs = hidden.float() + model.llm.span_embeddings(modality).float()
    fit_linear(network.fc, inputs.flatten(0, 1), targets.flatten(0, 1))


@torch.no_grad()
def signal_states(model: NextGPT, modality: str, words: Sequence[str]) -> Float[Tensor, "B S D"]:
    """Return the hidden states at the signal tokens of a medium that answers ``words``."""
    unique = list(dict.fromkeys(words))
    states: dict[str, Tensor] = {}
    for first in range(0, len(unique), BATCH_SIZE):
        batch = unique[first : first + BATCH_SIZE]
        prompts = [
            model.llm.build_prompt(
                Conversation()
                .with_message(text)
                .with_message([replace(PLACEHOLDER_MEDIA[modality])], role="assistant"),
                add_generation_prompt=False,
            )
            for text in batch
        ]
        output = model(prompts, [])
        for row, text in enumerate(batch):
            (span,) = model.llm.signals.vocabulary.spans(output.prompts.input_ids[row].tolist())
            states[text] = output.hidden_states[row, span.start : span.stop].float()
    return torch.stack([states[text] for text in words])


@torch.no_grad()
def fit_linear(layer: nn.Linear, inputs: Float[Tensor, "n d"], targets: Float[Tensor, "n k"]) -> None:
    """Set weight and bias to the ridge regression of ``targets`` on ``inputs``."""
    x, y = inputs.double(), targets.double()
    x_mean, y_mean = x.mean(dim=0), y.mean(dim=0)
    x, y = x - x_mean, y - y_mean
    covariance = x.T @ x
    covariance.diagonal().add_(RIDGE * covariance.diagonal().mean())
    weight = torch.linalg.solve(covariance, x.T @ y).T  # (k, d)
    layer.weight.copy_(weight)
    layer.bias.copy_(y_mean - weight @ x_mean)


def _copy_except(network: nn.Module, source: nn.Module, layer: str) -> None:
    """Copy the weights of ``source`` except those of ``layer``."""
    own = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith(f"{layer}.")}
    given = {name: tensor for name, tensor in source.state_dict().items() if not name.startswith(f"{layer}.")}
    if {n: t.shape for n, t in own.items()} != {n: t.shape for n, t in given.items()}:
        raise ConfigError(
            f"start_from names a model whose projections differ in more than the layer {layer}; expected the same "
            "kind, widths and number of layers. Change architecture, or remove start_from."
        )
    for name, tensor in own.items():
        tensor.copy_(given[name])
