"""BatchGenerator: whole runs, speaking order, batches that equal singles, and nothing fed twice."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from nextgpt.message import Conversation, Sampling, TextDelta
from nextgpt.model.llm.generation import GenerationRequest, generate
from nextgpt.model.llm.language_model import LanguageModel
from nextgpt.model.llm.output import LLMOutput, MediumSegment, TextSegment
from nextgpt.testing.language_model import tiny_language_model
from nextgpt.testing.scripted_model import tiny_image

ALL = ("text", "image", "audio", "video")
NO_MEDIA = torch.zeros(0, 1, 32)


class Script:
    """Makes an LLM say given ids, one after the other, wherever the grammar leaves it a choice."""

    def __init__(self, llm: LanguageModel, ids: list[int]) -> None:
        self.remaining = iter(ids)
        self.heard: list[torch.Tensor] = []
        self.width = llm.vocabulary_size + len(llm.signals.vocabulary)

    @property
    def steps(self) -> int:
        return len(self.heard)

    def __call__(self, hidden: torch.Tensor) -> torch.Tensor:
        self.heard.append(hidden)
        logits = torch.zeros(1, self.width)
        logits[0, next(self.remaining, 0)] = 1.0
        return logits


@pytest.fixture
def llm() -> LanguageModel:
    return tiny_language_model()


def scripted(llm: LanguageModel, monkeypatch, *said: str | int) -> Script:
    """``said``: words, names of modalities (their first signal token), or ids."""
    signals = llm.signals.vocabulary
    ids = [
        token_id
        for item in said
        for token_id in (
            [item]
            if isinstance(item, int)
            else [signals.span_ids(item)[0]]
            if item in ALL
            else llm.tokenizer.encode(item)
        )
    ]
    script = Script(llm, ids)
    monkeypatch.setattr(llm, "logits", script)
    return script


@torch.no_grad()
def answer(llm: LanguageModel, said: str | Conversation = "hi", **settings) -> list:
    """Everything that one conversation's answer yields."""
    editable = settings.pop("editable", ())
    sampling = Sampling(**settings)
    conversation = said if isinstance(said, Conversation) else Conversation().with_message(said)
    request = GenerationRequest(llm.build_prompt(conversation), sampling, sampling.modalities or ALL, editable)
    return [spoken for _, spoken in generate(llm, [request], NO_MEDIA)]


def end(llm: LanguageModel) -> int:
    return next(iter(llm.end_ids))


def test_text_then_media_then_text_come_in_speaking_order(llm, monkeypatch):
    scripted(llm, monkeypatch, "Look: ", "image", " and ", "audio", "!", end(llm))
    spoken = answer(llm)
    words = [item.text for item in spoken if isinstance(item, TextDelta)]
    assert "".join(words) == "Look:  and !"
    thought = spoken[-1]
    kinds = [part.text if isinstance(part, TextSegment) else part.modality for part in thought.segments]
    assert kinds == ["Look: ", "image", " and ", "audio", "!"]
    image = llm.signals.vocabulary.span_ids("image")
    assert tuple(llm.tokenizer.encode("Look: ")) + image == thought.token_ids[: 6 + 4]
    assert end(llm) not in thought.token_ids


def test_a_run_of_24_video_tokens_costs_one_step(llm, monkeypatch):
    script = scripted(llm, monkeypatch, "video", end(llm))
    (segment,) = answer(llm)[-1].segments
    assert segment.hidden_states.shape == (24, 32)
    assert script.steps == 2


def test_hidden_states_are_those_of_the_signal_tokens_as_they_are_heard(llm, monkeypatch):
    scripted(llm, monkeypatch, "ab", "image", end(llm))
    thought = answer(llm)[-1]
    prompt = llm.build_prompt(Conversation().with_message("hi"))
    ids = [*prompt.token_ids, *thought.token_ids]
    with torch.no_grad():
        whole = llm.hidden_states(
            llm.embed_ids(ids)[None], torch.ones(1, len(ids), dtype=torch.bool), torch.arange(len(ids))[None]
        )
    torch.testing.assert_close(thought.segments[1].hidden_states, whole[0, -4:], rtol=1e-4, atol=1e-4)


def test_an_edit_is_said_before_its_run(llm, monkeypatch):
    edit = llm.signals.vocabulary.edit
    scripted(llm, monkeypatch, edit, "image", "image", end(llm))
    thought = answer(llm, editable=("image",))[-1]
    assert [segment.is_edit for segment in thought.segments] == [True, False]
    run = llm.signals.vocabulary.span_ids("image")
    assert thought.token_ids == (edit, *run, *run)
    assert thought.segments[0].hidden_states.shape == (4, 32)


def test_a_run_that_does_not_fit_is_dropped_and_said_so(llm, monkeypatch):
    scripted(llm, monkeypatch, "abc", "audio")
    thought = answer(llm, max_tokens=10)[-1]
    assert thought.segments == (TextSegment("abc"),)
    assert thought.dropped == ("audio: 8 signal tokens needed, 7 tokens left",)


def test_a_run_that_just_fits_is_the_last_thing_said(llm, monkeypatch):
    scripted(llm, monkeypatch, "abc", "image")
    thought = answer(llm, max_tokens=7)[-1]
    assert [type(segment) for segment in thought.segments] == [TextSegment, MediumSegment]
    assert thought.dropped == ()


def test_answers_end_at_max_tokens_and_at_the_end_of_the_context():
    llm = tiny_language_model(context_length=40)
    assert len(answer(llm, max_tokens=5, temperature=1.0, modalities=("text",))[-1].token_ids) <= 5
    thought = answer(llm, "x" * 30, max_tokens=1000, temperature=3.0, modalities=("text",))[-1]
    assert len(thought.token_ids) <= 40 - (30 + 3)


def test_text_ends_at_a_stop_string(llm, monkeypatch):
    scripted(llm, monkeypatch, "one#two")
    spoken = answer(llm, stop=("#t",))
    assert spoken[-1].segments == (TextSegment("one"),)
    assert "".join(item.text for item in spoken[:-1]) == "one"


def test_equal_seeds_answer_equally_and_others_differently(llm):
    one, same, other = (answer(llm, seed=seed, temperature=2.0, max_tokens=30)[-1].token_ids for seed in (1, 1, 2))
    assert one == same != other


def test_a_batch_says_what_each_would_say_alone(llm):
    requests = [
        GenerationRequest(
            llm.build_prompt(Conversation().with_message(said)),
            Sampling(seed=seed, temperature=1.5, max_tokens=length),
            ALL,
        )
        for seed, (said, length) in enumerate([("hi", 40), ("a much longer question", 10), ("", 60), ("so", 25)])
    ]
    with torch.no_grad():
        together = [None] * len(requests)
        for row, spoken in generate(llm, requests, NO_MEDIA):
            if isinstance(spoken, LLMOutput):
                together[row] = spoken
        llm.prefix_cache.clear()
        for request, thought in zip(requests, together, strict=True):
            alone = [spoken for _, spoken in generate(llm, [request], NO_MEDIA)][-1]
            assert alone.token_ids == thought.token_ids
            for one, other in zip(alone.segments, thought.segments, strict=True):
                if isinstance(one, MediumSegment):
                    torch.testing.assert_close(one.hidden_states, other.hidden_states, rtol=1e-3, atol=1e-3)
            llm.prefix_cache.clear()


def test_a_second_turn_feeds_only_what_is_new_and_says_the_same(llm, monkeypatch):
    first = Conversation().with_message("hello there")
    answer(llm, first, max_tokens=12, modalities=("text",))
    second = first.with_message("well", role="assistant").with_message("and now?")
    fed: list[int] = []
    think = llm.hidden_states
    monkeypatch.setattr(llm, "hidden_states", lambda x, *rest: fed.append(x.shape[1]) or think(x, *rest))
    cached = answer(llm, second, max_tokens=20)[-1]
    whole = llm.build_prompt(second).length(1)
    shared = llm.build_prompt(first).length(1)
    assert fed[0] <= whole - shared
    llm.prefix_cache.clear()
    fed.clear()
    assert answer(llm, second, max_tokens=20)[-1].token_ids == cached.token_ids
    assert fed[0] == whole


def test_what_was_said_is_found_in_the_cache_of_the_next_turn(llm, monkeypatch):
    scripted(llm, monkeypatch, "Look ", "image", end(llm))
    first = Conversation().with_message("draw")
    thought = answer(llm, first)[-1]
    keys = [*llm.build_prompt(first).cache_keys(1), *thought.token_ids, end(llm)]
    found = llm.prefix_cache.match_prefix(keys)
    assert found is not None and found.length == len(keys) - 1


def test_changed_weights_forget_what_was_remembered(llm):
    answer(llm, max_tokens=3)
    assert len(llm.prefix_cache) == 1
    llm.train()
    assert len(llm.prefix_cache) == 0


def test_soft_tokens_are_heard_where_they_stand(monkeypatch):
    """What is chosen and what a run says come from the words and soft tokens laid out by hand, in their order."""
    llm = tiny_language_model(soft_tokens=2)
    prompt = llm.build_prompt(Conversation().with_message(["a", tiny_image(), "b", tiny_image((1, 2, 3)), "c"]))
    soft = torch.randn(2, 2, 32, generator=torch.Generator().manual_seed(0)) * 3
    request = GenerationRequest(prompt, Sampling(), ALL)

    def heard(soft: torch.Tensor) -> torch.Tensor:
        """Hidden states from which the first choice is made, then those of the run that it begins: (1 + 4, D)."""
        llm.prefix_cache.clear()
        script = scripted(llm, monkeypatch, "image", end(llm))
        thought = [spoken for _, spoken in generate(llm, [request], soft)][-1]
        return torch.cat([script.heard[0], thought.segments[0].hidden_states])

    with torch.no_grad():
        before, between, after = (llm.embed_ids(stretch.ids) for stretch in prompt.token_spans)
        run = llm.embed_ids(llm.signals.vocabulary.span_ids("image"))
        laid_out = torch.cat([before, soft[0], between, soft[1], after, run])[None]
        positions = torch.arange(laid_out.shape[1])[None]
        whole = llm.hidden_states(laid_out, torch.ones_like(positions, dtype=torch.bool), positions)
        torch.testing.assert_close(heard(soft), whole[0, -5:], rtol=1e-4, atol=1e-4)
        assert not torch.allclose(heard(soft), heard(soft.flip(0)), atol=1e-2)


def test_an_answer_does_not_depend_on_words_that_spell_the_end(llm, monkeypatch):
    scripted(llm, monkeypatch, "<|end|>", end(llm))
    assert answer(llm)[-1].segments == (TextSegment("<|end|>"),)


def test_requests_keep_their_own_sampling(llm):
    prompt = llm.build_prompt(Conversation().with_message("hi"))
    loud = GenerationRequest(prompt, Sampling(max_tokens=30, temperature=3.0), ("text",))
    quiet = replace(loud, sampling=Sampling(max_tokens=3, temperature=3.0))
    with torch.no_grad():
        ends = [row for row, spoken in generate(llm, [loud, quiet], NO_MEDIA) if isinstance(spoken, LLMOutput)]
    assert ends[0] == 1


@pytest.mark.parametrize(("stops_at_loops", "length"), [(True, 30), (False, 50)])
def test_a_reply_that_repeats_one_phrase_ends_where_the_model_asks_for_it(llm, monkeypatch, stops_at_loops, length):
    llm.stops_at_loops = stops_at_loops
    scripted(llm, monkeypatch, *["abc"] * 40)
    assert len(answer(llm, max_tokens=50)[-1].token_ids) == length
