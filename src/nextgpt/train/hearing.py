"""Hear whole conversations, with gradients only where something that is trained has a part in it.

In the decoding-side alignment nothing that is trained stands before the first signal token: the LLM and all that it is
given are frozen. What comes before is heard once without gradients, and its keys and values are constants to the rest::

    words of the person, caption ........ | [IMG0] [IMG1] [IMG2] [IMG3] <end>
    no gradient, nothing kept             | gradient
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import DynamicCache

from nextgpt.model.encoding.base import Features
from nextgpt.model.llm.language_model import Thoughts, Woven
from nextgpt.model.llm.weaving import Prompt
from nextgpt.model.nextgpt import NextGPT


def hear(model: NextGPT, prompts: Sequence[Prompt], features: Sequence[Features]) -> Thoughts:
    """The same as ``model(prompts, features)``, at less cost where the beginning depends on nothing trained."""
    modalities = [medium.modality for prompt in prompts for medium in prompt.media]
    soft = model.input_projection(features, modalities)  # (N, K, D)
    woven = model.llm.embed(prompts, soft)
    start = _first_trained(model, woven)
    if start == 0:
        return model.llm(woven)
    llm, cache = model.llm, DynamicCache()
    positions = (woven.mask.long().cumsum(dim=1) - 1).clamp(min=0)
    with torch.no_grad():
        before = llm.think(woven.embeddings[:, :start].detach(), woven.mask[:, :start], positions[:, :start], cache)
    after = llm.think(woven.embeddings[:, start:], woven.mask, positions[:, start:], cache)
    logits = [llm.logits(hidden) for hidden in (before, after)]
    return Thoughts(woven, torch.cat([before, after], dim=1), torch.cat(logits, dim=1))


def _first_trained(model: NextGPT, woven: Woven) -> int:
    """The first position, of all rows, at which anything that is trained has a part; 0 where it may be everywhere."""
    trained = [*model.input_projection.parameters(), *model.llm.transformer.parameters()]
    if any(parameter.requires_grad for parameter in trained):
        return 0
    is_signal = (woven.ids >= model.llm.signals.ids.first_id).any(dim=0)  # (T,)
    return int(is_signal.long().argmax()) if is_signal.any() else 0
