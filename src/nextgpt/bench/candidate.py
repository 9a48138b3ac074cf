"""The candidate: the model used as intended."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import torch

from nextgpt.bench.workload import MAX_TOKENS, QUESTION, Turn, batch_of_8, question_about, unseen_images, user_messages
from nextgpt.message import Conversation, Image, Reply, Sampling, Text, TextDelta
from nextgpt.modality import MODALITIES
from nextgpt.model.nextgpt import NextGPT
from nextgpt.model.synthesis.batching import SynthesisRequest, synthesize_batch

SAMPLING = Sampling(max_tokens=MAX_TOKENS)


class Candidate:
    """Measures the model. Each method does one piece of work and returns its seconds."""

    def __init__(self, model_dir: Path) -> None:
        self.model = NextGPT.from_pretrained(model_dir)
        self._images: Iterator[Image] = unseen_images()

    def first_token_s(self) -> float:
        """Measure from a question about an image to the first text of the answer."""
        self._clear_caches()
        conversation = Conversation().with_message([next(self._images), QUESTION])
        start = time.perf_counter()
        self._first_delta(conversation)
        return time.perf_counter() - start

    def token_s(self, turn: Turn) -> float:
        """Measure one token of a text answer after the first."""
        self._clear_caches()
        times = [time.perf_counter() for _ in self._stream(turn.conversation)]
        return (times[-1] - times[0]) / max(turn.tokens - 1, 1)

    def medium_s(self, modality: str) -> float:
        """Measure one medium from the hidden states of its signal tokens."""
        hidden = torch.zeros(1, MODALITIES[modality].signal_count, self.model.llm.hidden_size)
        start = time.perf_counter()
        with torch.inference_mode():
            condition = self.model.project_conditions(modality, hidden)[0]
            *_, _ = synthesize_batch([SynthesisRequest((0, 0), modality, condition, seed=0)], self.model.synthesizer)
        return time.perf_counter() - start

    def prefill(self, modality: str) -> None:
        """Start the answer to a question about a medium."""
        self._first_delta(question_about(modality))

    def turn_s(self) -> float:
        """Measure the average turn of a conversation of five."""
        self._clear_caches()
        start = time.perf_counter()
        num_turns = len(self.run_conversation(next(self._images)))
        return (time.perf_counter() - start) / num_turns

    def run_conversation(self, image: Image) -> list[Turn]:
        """Run the conversation of the workload."""
        conversation, turns = Conversation(), []
        for message in user_messages(image):
            conversation = conversation.with_message(message)
            reply = self.model.chat(conversation, SAMPLING)
            turns.append(Turn(conversation, reply, self._tokens(reply)))
            conversation = conversation.with_reply(reply)
        return turns

    def batch_of_8_s(self) -> float:
        """Measure eight conversations in one batch."""
        self._clear_caches()
        conversations = batch_of_8(self._images)
        start = time.perf_counter()
        self.model.chat_batch(conversations, SAMPLING)
        return time.perf_counter() - start

    def sequential_8_s(self) -> float:
        """Measure the same conversations one after the other."""
        self._clear_caches()
        conversations = batch_of_8(self._images)
        start = time.perf_counter()
        for conversation in conversations:
            self.model.chat(conversation, SAMPLING)
        return time.perf_counter() - start

    def _first_delta(self, conversation: Conversation) -> None:
        next(self._stream(conversation), None)

    def _stream(self, conversation: Conversation) -> Iterator[TextDelta]:
        sampling = Sampling(max_tokens=MAX_TOKENS, modalities=("text",))
        return (event for event in self.model.stream(conversation, sampling) if isinstance(event, TextDelta))

    def _clear_caches(self) -> None:
        """Clear the prefix cache, which would speed up the next run."""
        self.model.llm.prefix_cache.clear()

    def _tokens(self, reply: Reply) -> int:
        return 1 + sum(
            len(self.model.llm.tokenizer.encode(part.text))
            if isinstance(part, Text)
            else MODALITIES[part.modality].signal_count
            for part in reply.parts
        )
