"""Batched generation with signal tokens.

Each step feeds every sequence its pending positions: the prompt first, then the sampled token, or a complete span of
signal tokens, since the tokens after the first are determined. So prefill, decoding and spans share one code path, and
the 24 signal tokens of a video cost one step. This module does not depend on encoders or synthesizers.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from nextgpt.message import Sampling, TextDelta
from nextgpt.model.llm.detokenizer import IncrementalDetokenizer
from nextgpt.model.llm.grammar import TokenGrammar
from nextgpt.model.llm.kv_cache import BatchedKVCache
from nextgpt.model.llm.language_model import LanguageModel
from nextgpt.model.llm.loops import ends_in_loop
from nextgpt.model.llm.output import LLMOutput, MediumSegment, Segment, TextSegment
from nextgpt.model.llm.prompt import Prompt
from nextgpt.model.llm.sampler import sample_next_tokens

LLMEvent = TextDelta | MediumSegment | LLMOutput
"""Text and media in output order, then the complete output."""


@dataclass(frozen=True)
class GenerationRequest:
    """Request for the reply to one conversation."""

    prompt: Prompt
    sampling: Sampling
    modalities: tuple[str, ...]
    """Allowed output modalities, including ``text``."""
    editable: tuple[str, ...] = ()
    """Modalities with at least one medium in the conversation."""
    truncated_turns: int = 0
    """Turns that were removed because the conversation exceeded the context."""


def generate(
    llm: LanguageModel, requests: Sequence[GenerationRequest], soft: Float[Tensor, "N K D"]
) -> Iterator[tuple[int, LLMEvent]]:
    """Generate all replies in one batch; yield each event with the index of its request.

    Args:
        requests: Conversations with their own sampling. A reply does not depend on the rest of the batch.
        soft: Soft tokens of all their media, in order.
    """
    generator = BatchGenerator(llm)
    generator.add(enumerate(requests), soft)
    while generator.request_ids:
        yield from generator.step()


class BatchGenerator:
    """Continuous batching: sequences may be added and aborted between two steps."""

    def __init__(self, llm: LanguageModel) -> None:
        self._llm = llm
        self._running, self._new = _SequenceBatch(), _SequenceBatch()

    @property
    def request_ids(self) -> list[int]:
        """Ids of the unfinished requests."""
        return [sequence.request_id for batch in (self._running, self._new) for sequence in batch.sequences]

    def add(self, requests: Iterable[tuple[int, GenerationRequest]], soft: Float[Tensor, "N K D"]) -> None:
        """Add requests under ids of the caller's choice; ``soft`` as for :func:`generate`."""
        self._merge_new()
        remaining = iter(soft)
        new = [_Sequence(self._llm, request_id, request, remaining) for request_id, request in requests]
        cache = BatchedKVCache([sequence.cached_prefix for sequence in new], soft.device) if new else None
        self._new = _SequenceBatch(new, cache)

    def abort(self, request_ids: Collection[int]) -> None:
        """Drop unfinished requests."""
        for batch in (self._running, self._new):
            batch.select([i for i, seq in enumerate(batch.sequences) if seq.request_id not in request_ids])

    def step(self) -> Iterator[tuple[int, LLMEvent]]:
        """Run one step of every sequence. New prompts are prefilled in their own batch, which avoids padding."""
        for batch in (self._running, self._new):
            if batch.sequences:
                yield from batch.step(self._llm)
        self._merge_new()

    def _merge_new(self) -> None:
        """Merge prefilled sequences into the running batch."""
        if self._new.sequences:
            if self._running.sequences:
                self._running.append(self._new)
            else:
                self._running = self._new
        self._new = _SequenceBatch()


class _SequenceBatch:
    """Sequences that run in one forward pass, with their KV cache."""

    def __init__(self, sequences: Sequence[_Sequence] = (), cache: BatchedKVCache | None = None) -> None:
        self.sequences = list(sequences)
        self.cache = cache

    def step(self, llm: LanguageModel) -> Iterator[tuple[int, LLMEvent]]:
        assert self.cache is not None, "a batch with sequences has a cache"
        hidden = _forward(llm, self.sequences, self.cache)
        logits = llm.logits(torch.stack([states[-1] for states in hidden]))  # (B, Vn)
        for index, seq in enumerate(self.sequences):
            logits[index].add_(seq.grammar.mask(logits[index]))
        samplings = [seq.sampling for seq in self.sequences]
        generators = [seq.generator for seq in self.sequences]
        token_ids = sample_next_tokens(logits, samplings, generators)
        for seq, states, token_id in zip(self.sequences, hidden, token_ids, strict=True):
            for event in seq.on_token(states, token_id):
                yield seq.request_id, event
        for index, seq in enumerate(self.sequences):
            if seq.is_done:
                llm.prefix_cache.insert(seq.cached_keys, self.cache.extract(index))
        self.select([index for index, seq in enumerate(self.sequences) if not seq.is_done])

    def select(self, indices: list[int]) -> None:
        """Keep these sequences; the last ones fill the gaps of the dropped ones."""
        if len(indices) == len(self.sequences):
            return
        if indices and self.cache is not None:
            self.sequences = [self.sequences[index] for index in self.cache.select(indices)]
        else:
            self.sequences, self.cache = [], None

    def append(self, other: _SequenceBatch) -> None:
        """Append the sequences of another batch."""
        assert self.cache is not None and other.cache is not None, "a batch with sequences has a cache"
        self.cache.append(other.cache)
        self.sequences += other.sequences


def _forward(llm: LanguageModel, sequences: Sequence[_Sequence], cache: BatchedKVCache) -> list[Float[Tensor, "n D"]]:
    """Run the pending positions of all sequences; return the hidden states of each one's own positions."""
    pending = [seq.pop_pending() for seq in sequences]
    spans = [item for item, _ in pending if not isinstance(item, Tensor)]
    embedded = llm.embed_ids([token_id for ids in spans for token_id in ids]).split([len(ids) for ids in spans])
    remaining = iter(embedded)
    inputs = [item if isinstance(item, Tensor) else next(remaining) for item, _ in pending]  # (n, D) each
    inputs_embeds, mask = _left_pad(inputs)
    starts = torch.tensor([start for _, start in pending], device=mask.device)
    position_ids = (starts[:, None] + mask.long().cumsum(dim=1) - 1).clamp(min=0)
    hidden = llm.hidden_states(inputs_embeds, cache.extend(mask), position_ids, cache.cache)  # (B, T, D)
    return [states[-len(rows) :] for states, rows in zip(hidden, inputs, strict=True)]


def _left_pad(rows: Sequence[Float[Tensor, "_ D"]]) -> tuple[Float[Tensor, "B T D"], Bool[Tensor, "B T"]]:
    lengths = torch.tensor([len(row) for row in rows], device=rows[0].device)
    longest = int(lengths.max())
    padded = [
        row if len(row) == longest else torch.nn.functional.pad(row, (0, 0, longest - len(row), 0)) for row in rows
    ]
    return torch.stack(padded), torch.arange(longest, device=lengths.device) >= longest - lengths[:, None]


class _Sequence:
    """State of one request: positions to feed next, and the output so far."""

    def __init__(
        self, llm: LanguageModel, request_id: int, request: GenerationRequest, soft: Iterator[Float[Tensor, "K D"]]
    ) -> None:
        sampling, keys = request.sampling, request.prompt.cache_keys(llm.soft_tokens)
        self.request_id = request_id
        self.is_done = False
        self.cached_prefix = llm.prefix_cache.match_prefix(keys)
        start = self.cached_prefix.length if self.cached_prefix else 0
        self.cached_keys: list[Hashable] = keys[:start]
        self._pending: Float[Tensor, "n D"] | tuple[int, ...] = llm.embed_prompt(request.prompt, soft)[start:]
        self._pending_keys = keys[start:]
        self._llm = llm
        self.sampling = sampling
        self._tokens_left = min(sampling.max_tokens, llm.context_length - len(keys))
        self.generator = torch.Generator().manual_seed(sampling.seed)
        self._stop_strings = (*llm.template.stop_strings, *sampling.stop)
        self.grammar = TokenGrammar(
            llm.signals.vocabulary,
            end_ids=llm.end_ids,
            suppressed_ids=llm.tokenizer.special_ids,
            modalities=request.modalities,
            editable=request.editable,
            json_constraint=llm.json_constraint(sampling.json_schema) if sampling.json_schema else None,
        )
        self._detokenizer = IncrementalDetokenizer(llm.tokenizer.decode, self._stop_strings)
        self._open_span: str | None = None
        """Modality of the span that is being fed."""
        self._is_edit = False
        self._segments: list[Segment] = []
        self._token_ids: list[int] = []
        self._dropped: list[str] = []

    def pop_pending(self) -> tuple[Float[Tensor, "n D"] | tuple[int, ...], int]:
        """Return the pending embeddings or token ids and the position of the first one."""
        start = len(self.cached_keys)
        self.cached_keys += self._pending_keys
        return self._pending, start

    def on_token(self, hidden: Float[Tensor, "n D"], token_id: int) -> Iterator[LLMEvent]:
        """Process the hidden states of the fed positions and the token sampled after them."""
        if self._open_span is not None:
            yield self._finish_span(hidden)
        if self._tokens_left == 0 or token_id in self._llm.end_ids:
            yield from self._finish()
        elif token_id < self._llm.vocabulary_size:
            yield from self._append_text_token(token_id)
        else:
            yield from self._append_signal_token(token_id)

    def _append_text_token(self, token_id: int) -> Iterator[LLMEvent]:
        text = self._detokenizer.add_token(token_id)
        if text:
            yield TextDelta(text)
        self._append((token_id,))
        if self._detokenizer.is_stopped or self._tokens_left == 0 or self._is_in_loop():
            yield from self._finish()

    def _is_in_loop(self) -> bool:
        """Return True if the reply repeats one phrase, and the LLM is one that ends there."""
        return self._llm.stops_at_loops and not self.sampling.json_schema and ends_in_loop(self._token_ids)

    def _append_signal_token(self, token_id: int) -> Iterator[LLMEvent]:
        vocabulary = self._llm.signals.vocabulary
        self._open_span = vocabulary.modality_started_by(token_id)
        is_edit_token = self._open_span is None
        ids = (token_id,) if self._open_span is None else vocabulary.span_sequence(self._open_span)
        if len(ids) > self._tokens_left or (is_edit_token and self._tokens_left == 1):
            yield from self._truncate(self._open_span or "edit", len(ids))
            return
        yield from self._flush_text()
        self._append(ids)
        self._is_edit = self._is_edit or is_edit_token

    def _append(self, ids: tuple[int, ...]) -> None:
        self.grammar.accept(ids[0])
        self._token_ids += ids
        self._tokens_left -= len(ids)
        self._pending, self._pending_keys = ids, list(ids)

    def _finish_span(self, hidden: Float[Tensor, "n D"]) -> MediumSegment:
        assert self._open_span is not None, "a span is being fed"
        segment = MediumSegment(self._open_span, hidden, self._is_edit)
        self._segments.append(segment)
        self._open_span, self._is_edit = None, False
        return segment

    def _flush_text(self) -> Iterator[TextDelta]:
        text = self._detokenizer.flush()
        if text:
            yield TextDelta(text)
        if self._detokenizer.text:
            self._segments.append(TextSegment(self._detokenizer.text))
        self._detokenizer = IncrementalDetokenizer(self._llm.tokenizer.decode, self._stop_strings)

    def _truncate(self, name: str, needed: int) -> Iterator[LLMEvent]:
        self._dropped.append(f"{name}: {needed} signal tokens needed, {self._tokens_left} tokens left")
        yield from self._finish()

    def _finish(self) -> Iterator[LLMEvent]:
        yield from self._flush_text()
        self.is_done = True
        yield LLMOutput(tuple(self._segments), tuple(self._token_ids), tuple(self._dropped))
