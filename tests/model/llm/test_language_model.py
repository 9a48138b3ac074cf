"""The language model as training uses it: batch batches in, hidden states and logits at all positions out."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
import torch

from nextgpt.errors import ConfigError
from nextgpt.message import Conversation, Image
from nextgpt.model.llm.language_model import NO_TOKEN_ID
from nextgpt.testing.language_model import tiny_language_model

LLM = tiny_language_model(soft_tokens=2)
PICTURE = Image(PIL.Image.fromarray(np.zeros((2, 2, 3), np.uint8)))
LONG = LLM.build_prompt(
    Conversation().with_message(["ab", PICTURE]).with_message(["c", PICTURE], role="assistant"),
    add_generation_prompt=False,
)
SHORT = LLM.build_prompt(
    Conversation().with_message("x").with_message("y", role="assistant"), add_generation_prompt=False
)
SOFT = torch.randn(1, 2, 32)
MARKER = "<|system|>"


def test_soft_tokens_stand_in_their_slots_and_nothing_stands_in_the_padding():
    batch = LLM.embed_prompts([SHORT, LONG], SOFT)
    assert batch.attention_mask.sum(dim=1).tolist() == [6, LONG.length(2)]
    slot = LONG.pieces[0].ids
    assert batch.input_ids[1, : len(slot) + 3].tolist()[-3:-1] == [NO_TOKEN_ID, NO_TOKEN_ID]
    torch.testing.assert_close(batch.inputs_embeds[1, len(slot) : len(slot) + 2], SOFT[0])
    assert not batch.inputs_embeds[0, 6:].any()


def test_targets_are_what_the_assistant_says():
    batch = LLM.embed_prompts([LONG], SOFT)
    said = batch.input_ids[0][batch.loss_mask[0]].tolist()
    assert said == [*LLM.tokenizer.encode("c"), *LLM.signals.vocabulary.span_ids("image"), *LLM.end_ids]


def test_neighbours_and_padding_change_nothing():
    together = LLM(LLM.embed_prompts([SHORT, LONG], SOFT))
    alone = LLM(LLM.embed_prompts([SHORT], torch.zeros(0, 2, 32)))
    torch.testing.assert_close(together.hidden_states[0, :6], alone.hidden_states[0])
    torch.testing.assert_close(together.logits[0, :6], alone.logits[0])


def test_logits_cover_the_vocabulary_and_then_the_signal_tokens():
    thoughts = LLM(LLM.embed_prompts([SHORT], torch.zeros(0, 2, 32)))
    assert thoughts.logits.shape[-1] == LLM.vocabulary_size + 37
    expected = LLM.transformer(inputs_embeds=thoughts.prompts.inputs_embeds).logits
    torch.testing.assert_close(thoughts.logits[..., : LLM.vocabulary_size], expected)


def test_gradients_reach_the_signal_rows_and_the_soft_tokens_but_not_the_frozen_llm():
    llm = tiny_language_model(soft_tokens=2)
    llm.transformer.requires_grad_(False)
    soft = SOFT.clone().requires_grad_()
    thoughts = llm(llm.embed_prompts([LONG], soft))
    thoughts.logits.logsumexp(dim=-1).sum().backward()
    run = [token_id - llm.vocabulary_size for token_id in llm.signals.vocabulary.span_ids("image")]
    assert llm.signals.input.grad[run].abs().sum() > 0
    assert llm.signals.output.grad.abs().sum() > 0
    assert soft.grad.abs().sum() > 0
    others = [row for row in range(37) if row not in run]
    assert not llm.signals.input.grad[others].any()
    assert all(parameter.grad is None for parameter in llm.transformer.parameters())


def test_prompts_are_woven_side_by_side_as_each_alone():
    together = LLM.embed_prompts([SHORT, LONG], SOFT)
    rest = iter(SOFT)
    for row, prompt in enumerate((SHORT, LONG)):
        alone = LLM.embed_prompt(prompt, rest)
        assert torch.equal(together.inputs_embeds[row, : len(alone)], alone)
        assert not together.inputs_embeds[row, len(alone) :].any()


def test_runs_of_signal_tokens_begin_and_end_at_special_tokens_alone():
    llm = tiny_language_model()
    row = llm.tokenizer.split_special_tokens(MARKER)[0]
    llm.init_signals_from_tokens({"image": MARKER}, end=MARKER)
    words = llm.transformer.get_input_embeddings().weight
    assert torch.equal(llm.signals.span_embeddings("image")[0], words[row])
    assert torch.equal(llm.signals.span_embeddings("video")[-1], words[row])
    with pytest.raises(ConfigError, match="init_signal_ends_from is 'a cat'; expected one special token"):
        llm.init_signals_from_tokens({}, end="a cat")
