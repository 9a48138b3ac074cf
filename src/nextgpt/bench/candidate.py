"""The model as it is meant to be used."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from nextgpt.bench.workload import (
    MAX_TOKENS,
    QUESTION,
    Turn,
    batch_of_8,
    question_about,
    unseen_images,
    user_messages,
)
from nextgpt.message import Conversation, Image, Reply, Sampling, Text, TextDelta
from nextgpt.modality import MODALITIES
from nextgpt.model.nextgpt import NextGPT
from nextgpt.model.synthesis.batching import SynthesisRequest, synthesize_batch

SAMPLING = Sampling(max_tokens=MAX_TOKENS)


class Candidate:
    """Measures our own path. Each method does one piece of work and tells its seconds.

    Args:
        home: The model's folder.
    """

    def __init__(self, home: Path) -> None:
        self.model = NextGPT.from_pretrained(home)
        self._pictures: Iterator[Image] = unseen_images()

    def first_token_s(self) -> float:
        """From a question about a picture to the first words of the answer."""
        self._forget()
        asked = Conversation().with_message([next(self._pictures), QUESTION])
        start = time.perf_counter()
        self._begin(asked)
        return time.perf_counter() - start

    def token_s(self, exchange: Turn) -> float:
        """A token of an answer in words, after the first."""
        self._forget()
        times = [time.perf_counter() for _ in self._stream(exchange.before)]
        return (times[-1] - times[0]) / max(exchange.tokens - 1, 1)

    def medium_s(self, modality: str) -> float:
        """A medium, from the hidden states of its signal tokens."""
        hidden = torch.zeros(1, MODALITIES[modality].signal_count, self.model.llm.hidden_size)
        start = time.perf_counter()
        with torch.inference_mode():
            condition = self.model.project_conditions(modality, hidden)[0]
            *_, _ = synthesize_batch(
                [SynthesisRequest((0, 0), modality, condition, seed=0)], self.model.synthesizer
            )
        return time.perf_counter() - start

    def hear(self, modality: str) -> None:
        """Answer a question about a medium."""
        self._begin(question_about(modality))

    def turn_s(self) -> float:
        """A turn of a conversation of five, on average."""
        self._forget()
        start = time.perf_counter()
        turns = len(self.converse(next(self._pictures)))
        return (time.perf_counter() - start) / turns

    def converse(self, picture: Image) -> list[Turn]:
        """Hold the conversation of the workload."""
        talk, held = Conversation(), []
        for said in user_messages(picture):
            talk = talk.with_message(said)
            reply = self.model.chat(talk, SAMPLING)
            held.append(Turn(talk, reply, self._tokens(reply)))
            talk = talk.with_reply(reply)
        return held

    def eight_together_s(self) -> float:
        """Eight conversations side by side."""
        self._forget()
        asked = batch_of_8(self._pictures)
        start = time.perf_counter()
        self.model.chat_batch(asked, SAMPLING)
        return time.perf_counter() - start

    def eight_singly_s(self) -> float:
        """The same, one after the other."""
        self._forget()
        asked: Sequence[Conversation] = batch_of_8(self._pictures)
        start = time.perf_counter()
        for talk in asked:
            self.model.chat(talk, SAMPLING)
        return time.perf_counter() - start

    def _begin(self, asked: Conversation) -> None:
        next(self._stream(asked), None)

    def _stream(self, asked: Conversation) -> Iterator[TextDelta]:
        sampling = Sampling(max_tokens=MAX_TOKENS, modalities=("text",))
        return (event for event in self.model.stream(asked, sampling) if isinstance(event, TextDelta))

    def _forget(self) -> None:
        """Begin anew: what an earlier run left would make this one too fast."""
        self.model.llm.prefix_cache.clear()

    def _tokens(self, reply: Reply) -> int:
        return 1 + sum(
            len(self.model.llm.tokenizer.encode(part.text))
            if isinstance(part, Text)
            else MODALITIES[part.modality].signal_count
            for part in reply.parts
        )
