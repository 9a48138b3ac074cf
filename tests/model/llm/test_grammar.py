"""The grammar: what may be said next."""

from __future__ import annotations

import torch

from nextgpt.model.llm.grammar import MAX_MEDIA, TokenGrammar
from nextgpt.model.llm.signal_tokens import SignalVocabulary

IDS = SignalVocabulary(offset=10)
END, SILENT = 0, 1
IMAGE, AUDIO, VIDEO = (IDS.span_ids(name)[0] for name in ("image", "audio", "video"))
WORDS = {*range(10)} - {SILENT, END}


def grammar(modalities=("text", "image", "audio", "video"), editable=()) -> TokenGrammar:
    return TokenGrammar(IDS, end_ids=[END], suppressed_ids=[SILENT, END], modalities=modalities, editable=editable)


def allowed(rules: TokenGrammar) -> set[int]:
    barred = rules.mask(torch.zeros(10 + len(IDS)))
    return set(torch.isfinite(barred).nonzero().flatten().tolist())


def test_runs_begin_with_their_first_token_and_markers_are_never_said():
    assert allowed(grammar()) == WORDS | {END, IMAGE, AUDIO, VIDEO}


def test_only_allowed_modalities_are_spoken():
    assert allowed(grammar(modalities=("text",))) == WORDS | {END}
    assert allowed(grammar(modalities=("text", "audio"))) == WORDS | {END, AUDIO}


def test_without_text_a_medium_comes_before_the_end():
    rules = grammar(modalities=("image",))
    assert allowed(rules) == {IMAGE}
    rules.accept(IMAGE)
    assert allowed(rules) == {END, IMAGE, IDS.edit}


def test_an_edit_needs_a_source_of_an_allowed_modality():
    assert IDS.edit in allowed(grammar(editable=("image",)))
    assert IDS.edit not in allowed(grammar(editable=("image",), modalities=("text", "audio")))


def test_after_the_edit_token_only_what_has_a_source_may_follow():
    rules = grammar(editable=("audio",))
    rules.accept(IDS.edit)
    assert allowed(rules) == {AUDIO}
    rules.accept(AUDIO)
    assert allowed(rules) >= WORDS | {END, IDS.edit}


def test_a_medium_of_this_answer_can_be_edited_in_it():
    rules = grammar()
    rules.accept(VIDEO)
    rules.accept(IDS.edit)
    assert allowed(rules) == {VIDEO}


def test_a_looping_model_ends_after_so_many_media():
    rules = grammar(modalities=("image",))
    for _ in range(MAX_MEDIA):
        rules.accept(IMAGE)
    assert allowed(rules) == {END}


def test_logits_of_what_is_allowed_stay_as_they_are():
    logits = torch.randn(10 + len(IDS))
    constrained = logits + grammar().mask(logits)
    kept = torch.isfinite(constrained)
    assert torch.equal(constrained[kept], logits[kept])
