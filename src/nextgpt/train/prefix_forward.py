"""LLM forward pass that skips gradients for the frozen prefix of each prompt.

In ``decoding-alignment`` nothing before the first signal token is trained: the LLM and its inputs are frozen. The
prefix is prefilled once without gradients; its keys and values are constants for the suffix. Each row is split at its
own first signal token, so that the suffixes start side by side::

    prefix, no gradient, nothing stored    suffix, with gradient
    a dog runs . .                         [IMG0] [IMG1] [IMG2] [IMG3] <end>
    two red cats on grass                  [IMG0] [IMG1] [IMG2] [IMG3] <end>
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Int, Shaped
from torch import Tensor
from transformers import DynamicCache

from nextgpt.model.encoding.base import Features
from nextgpt.model.llm.language_model import LLMForwardOutput, PromptBatch
from nextgpt.model.llm.prompt import Prompt
from nextgpt.model.nextgpt import NextGPT


def forward_frozen_prefix(
    model: NextGPT, prompts: Sequence[Prompt], features: Sequence[Features], *, sharded: bool = False
) -> LLMForwardOutput:
    """Return ``model(prompts, features)``, at less cost if the prefix depends on nothing trained.

    With ``sharded`` LLM layers every process runs them equally often, forward and backward, whatever its prompts are:
    gathering a layer waits for all processes.
    """
    modalities = [medium.modality for prompt in prompts for medium in prompt.media]
    soft = model.input_projection(features, modalities)  # (N, K, D)
    batch = model.llm.embed_prompts(prompts, soft)
    trained = [*model.input_projection.parameters(), *model.llm.transformer.parameters()]
    if any(parameter.requires_grad for parameter in trained):
        return model.llm(batch)
    return _forward_split(model, batch, _first_signal_positions(model, batch), min_suffix=int(sharded))


def _forward_split(
    model: NextGPT, batch: PromptBatch, split_positions: Int[Tensor, " B"], *, min_suffix: int
) -> LLMForwardOutput:
    """Run the LLM with gradients from each row's split position on, over ``min_suffix`` positions or more."""
    lengths = batch.attention_mask.sum(dim=1)
    max_length = batch.attention_mask.shape[1]
    prefix, suffix = int(split_positions.max()), max(int((lengths - split_positions).max()), min_suffix)
    steps = torch.arange(prefix + suffix, device=split_positions.device)
    in_suffix = steps >= prefix
    # (B, prefix + suffix), positions in the original row
    positions = torch.where(in_suffix, steps - prefix + split_positions[:, None], steps)
    mask = torch.where(in_suffix, positions < lengths[:, None], steps < split_positions[:, None])
    positions = positions.clamp(max=max_length - 1)
    embeddings = _gather_positions(batch.inputs_embeds, positions)
    cache = DynamicCache()
    with torch.no_grad():
        hidden = model.llm.hidden_states(
            embeddings[:, :prefix].detach(), mask[:, :prefix], positions[:, :prefix], cache
        )
    if suffix:
        inputs = embeddings[:, prefix:]
        if min_suffix and not inputs.requires_grad:  # text alone trains nothing, yet the backward pass must run
            inputs = inputs.detach().requires_grad_()
        hidden = torch.cat([hidden, model.llm.hidden_states(inputs, mask, positions[:, prefix:], cache)], dim=1)
    original = torch.arange(max_length, device=split_positions.device)
    # Padding may be read from anywhere: no loss uses it.
    sources = torch.where(original < split_positions[:, None], original, original - split_positions[:, None] + prefix)
    hidden = _gather_positions(hidden, sources.clamp(max=prefix + suffix - 1))
    return LLMForwardOutput(batch, hidden, model.llm.logits)


def _gather_positions(rows: Shaped[Tensor, "B t D"], positions: Int[Tensor, "B T"]) -> Shaped[Tensor, "B T D"]:
    """Return the given positions of each row."""
    return rows.gather(1, positions[..., None].expand(-1, -1, rows.shape[-1]))


def _first_signal_positions(model: NextGPT, batch: PromptBatch) -> Int[Tensor, " B"]:
    """Return the position of each row's first signal token, or the row's length if it has none."""
    is_signal = batch.input_ids >= model.llm.signals.vocabulary.offset  # (B, T)
    lengths = batch.attention_mask.sum(dim=1)
    return torch.where(is_signal.any(dim=1), is_signal.long().argmax(dim=1), lengths)
