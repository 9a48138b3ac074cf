"""Hear whole conversations, with gradients only where something that is trained has a part in it.

In the decoding-side alignment nothing that is trained stands before the first signal token: the LLM and all that it is
given are frozen. What comes before is heard once without gradients, and its keys and values are constants to the rest.
Each row is cut where its own first signal token stands, so the rests begin side by side::

    before, no gradient, nothing kept      rest, with gradient
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


def hear(
    model: NextGPT, prompts: Sequence[Prompt], features: Sequence[Features], *, is_sharded: bool = False
) -> LLMForwardOutput:
    """The same as ``model(prompts, features)``, at less cost where the beginning depends on nothing trained.

    Where the LLM's layers are sharded, every process goes through them as often as the others, forth and back, whatever
    its prompts are: to gather a layer is to wait for all.
    """
    modalities = [medium.modality for prompt in prompts for medium in prompt.media]
    soft = model.input_projection(features, modalities)  # (N, K, D)
    batch = model.llm.embed_prompts(prompts, soft)
    trained = [*model.input_projection.parameters(), *model.llm.transformer.parameters()]
    if any(parameter.requires_grad for parameter in trained):
        return model.llm(batch)
    return _hear_in_two(model, batch, _first_signals(model, batch), least=int(is_sharded))


def _hear_in_two(
    model: NextGPT, batch: PromptBatch, cuts: Int[Tensor, " B"], *, least: int
) -> LLMForwardOutput:
    """Hear ``batch``, with gradients from each row's cut on, over ``least`` positions or more."""
    lengths = batch.attention_mask.sum(dim=1)
    before, rest = int(cuts.max()), max(int((lengths - cuts).max()), least)
    steps = torch.arange(before + rest, device=cuts.device)
    is_rest = steps >= before
    positions = torch.where(
        is_rest, steps - before + cuts[:, None], steps
    )  # (B, before + rest), in the batch row
    mask = torch.where(is_rest, positions < lengths[:, None], steps < cuts[:, None])
    positions = positions.clamp(max=batch.attention_mask.shape[1] - 1)
    embeddings = _taken(batch.inputs_embeds, positions)
    cache = DynamicCache()
    with torch.no_grad():
        hidden = model.llm.hidden_states(
            embeddings[:, :before].detach(), mask[:, :before], positions[:, :before], cache
        )
    if rest:
        begun = embeddings[:, before:]
        if least and not begun.requires_grad:
            begun = (
                begun.detach().requires_grad_()
            )  # words alone: nothing is learned, yet the way back is gone
        after = model.llm.hidden_states(begun, mask, positions[:, before:], cache)
        hidden = torch.cat([hidden, after], dim=1)
    woven_steps = torch.arange(batch.attention_mask.shape[1], device=cuts.device)
    # Padding is read anywhere: nothing asks for it.
    places = torch.where(woven_steps < cuts[:, None], woven_steps, woven_steps - cuts[:, None] + before)
    return LLMForwardOutput(batch, _taken(hidden, places.clamp(max=before + rest - 1)), model.llm.logits)


def _taken(rows: Shaped[Tensor, "B t D"], places: Int[Tensor, "B T"]) -> Shaped[Tensor, "B T D"]:
    """Of each row what stands at its places."""
    return rows.gather(1, places[..., None].expand(-1, -1, rows.shape[-1]))


def _first_signals(model: NextGPT, batch: PromptBatch) -> Int[Tensor, " B"]:
    """Where each row's first signal token stands; its length where there is none."""
    is_signal = batch.input_ids >= model.llm.signals.vocabulary.offset  # (B, T)
    return torch.where(is_signal.any(dim=1), is_signal.long().argmax(dim=1), batch.attention_mask.sum(dim=1))
