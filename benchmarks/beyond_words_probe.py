"""Find out where a model loses the values that the suite beyond-words asks for; prints a Markdown table.

    python benchmarks/beyond_words_probe.py MODEL --items 600

Ridge regression reads the given value from the encoder's features of the given medium, from its soft tokens, and from
the LLM's hidden states at the signal tokens of its own answer. The error is that on other items, whose values are as
far from named ones as the suite's. Answers that edit the given medium, or have no medium of its modality, are left out.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nextgpt.evaluate.miniworld.beyond_words import KINDS, OFFSETS, BeyondWordsItem, sample_items
from nextgpt.evaluate.miniworld.systems import MAX_TOKENS, batched
from nextgpt.message import Conversation, Sampling
from nextgpt.model.llm.generation import generate
from nextgpt.model.llm.output import LLMOutput, MediumSegment
from nextgpt.model.nextgpt import NextGPT
from nextgpt.model.reply_assembler import ReplyAssembler

PLACES = ("encoder features", "soft tokens", "hidden states")
RIDGE = 0.1
"""Strength of the regularization, per item and input of variance 1."""
MAX_INPUTS = 2000
"""Inputs of the regression; larger ones are reduced by a fixed random projection."""
UNITS = {"hue": "°", "place": "px", "pitch": "semitones"}


@dataclass(frozen=True)
class Probe:
    """Inputs of the regressions, and the values to read from them."""

    inputs: dict[str, Tensor]
    """(n, d) by place."""
    values: Tensor
    """(n, components)."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="nano")
    parser.add_argument("--items", type=int, default=600, help="items per kind to fit to")
    parser.add_argument("--test-items", type=int, default=80)
    arguments = parser.parse_args()
    model = NextGPT.from_pretrained(arguments.model)
    print(f"| kind | {' | '.join(PLACES)} | fitted to | tested on |\n| --- |{' ---: |' * (len(PLACES) + 2)}")
    for kind in KINDS:
        known = probe(model, sample_items(kind, arguments.items, seed=200, offsets=(0.0, 0.5)))
        unknown = probe(model, sample_items(kind, arguments.test_items, seed=201, offsets=OFFSETS))
        errors = [mean_error(kind, known.inputs[p], known.values, unknown.inputs[p], unknown.values) for p in PLACES]
        cells = [f"{error:.1f} {UNITS[kind]}" for error in errors]
        print(f"| {kind} | {' | '.join(cells)} | {len(known.values)} | {len(unknown.values)} |", flush=True)


def probe(model: NextGPT, items: Sequence[BeyondWordsItem]) -> Probe:
    """Let the model answer the items without synthesis; return what it has of each at all places."""
    rows = [row for batch in batched(items) for row in probe_batch(model, batch)]
    columns = zip(*(inputs for inputs, _ in rows), strict=True)
    inputs = {place: torch.stack(column).flatten(1) for place, column in zip(PLACES, columns, strict=True)}
    return Probe(inputs, torch.tensor([value for _, value in rows]))


@torch.inference_mode()
def probe_batch(
    model: NextGPT, items: Sequence[BeyondWordsItem]
) -> list[tuple[tuple[Tensor, Tensor, Tensor], tuple[float, ...]]]:
    """Return inputs and value of each item that is answered with one new medium of its modality."""
    conversations = [Conversation().with_message([item.given, item.request]) for item in items]
    requests = [model.make_request(row, Sampling(seed=0, max_tokens=MAX_TOKENS)) for row in conversations]
    features, soft = model.encode([item.given for item in items]), model.encode_media([item.given for item in items])
    assemblers = [ReplyAssembler() for _ in items]
    for row, event in generate(model.llm, requests, soft):
        list(assemblers[row].on_llm_event(event))
    rows = []
    for index, item in enumerate(items):
        hidden = new_medium(assemblers[index].llm_output, item.truth.modality)
        if hidden is not None:
            tensors = features[index].vectors.float(), soft[index].float(), hidden.float()
            rows.append((tensors, item.value))
    return rows


def new_medium(output: LLMOutput, modality: str) -> Tensor | None:
    """Return the hidden states of the only medium of an answer, if it has the modality and is no edit."""
    media = [segment for segment in output.segments if isinstance(segment, MediumSegment)]
    is_new = len(media) == 1 and media[0].modality == modality and not media[0].is_edit
    return media[0].hidden_states if is_new else None


def mean_error(kind: str, inputs: Tensor, values: Tensor, test_inputs: Tensor, test_values: Tensor) -> float:
    """Return the mean distance of predicted from true values, of hues as an angle."""
    inputs, test_inputs = reduced(inputs), reduced(test_inputs)
    if kind == "hue":
        angles = torch.deg2rad(values[:, 0])
        predicted = ridge(inputs, torch.stack([angles.cos(), angles.sin()], 1), test_inputs)
        hues = torch.rad2deg(torch.atan2(predicted[:, 1], predicted[:, 0]))
        return float(((hues - test_values[:, 0] + 180) % 360 - 180).abs().mean())
    return float((ridge(inputs, values, test_inputs) - test_values).norm(dim=1).mean())


def reduced(inputs: Tensor) -> Tensor:
    """Project inputs (n, d) to at most :data:`MAX_INPUTS` columns, the same for all sets."""
    if inputs.shape[1] <= MAX_INPUTS:
        return inputs
    generator = torch.Generator().manual_seed(0)
    return inputs @ torch.randn(inputs.shape[1], MAX_INPUTS, generator=generator) / MAX_INPUTS**0.5


def ridge(inputs: Tensor, targets: Tensor, test_inputs: Tensor) -> Tensor:
    """Fit targets (n, t) linearly to standardized inputs (n, d); return predictions for other inputs."""
    mean, deviation = inputs.mean(0), inputs.std(0) + 1e-6
    known, unknown = ((rows - mean) / deviation for rows in (inputs.double(), test_inputs.double()))
    kernel = known @ known.T + RIDGE * len(known) * torch.eye(len(known), dtype=torch.float64)
    middle = targets.double().mean(0)
    weights = torch.linalg.solve(kernel, targets.double() - middle)
    return (unknown @ (known.T @ weights) + middle).to(targets)


if __name__ == "__main__":
    main()
