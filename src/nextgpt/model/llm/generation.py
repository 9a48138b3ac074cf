"""Third step: the language model answers, several conversations side by side.

Every step feeds each conversation's queue of positions: its prompt at first, then one chosen token, or a whole run of
signal tokens at once, as nothing is left to sample_next_tokens in it. So prefill, decoding and forced runs are one code, and 24
signal tokens of a video cost one step. Knows nothing of encoders and synthesizers.
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
from nextgpt.model.llm.output import LLMOutput, MediumSegment, Segment, TextSegment
from nextgpt.model.llm.prompt import Prompt
from nextgpt.model.llm.sampler import sample_next_tokens

LLMEvent = TextDelta | MediumSegment | LLMOutput
"""What generation yields: words and media as they come, the whole thought at the end."""


@dataclass(frozen=True)
class GenerationRequest:
    """One conversation to answer."""

    prompt: Prompt
    sampling: Sampling
    modalities: tuple[str, ...]
    """What may be answered, ``text`` included."""
    editable: tuple[str, ...] = ()
    """Modalities of which the conversation holds a medium that could be edited."""


def generate(
    llm: LanguageModel, requests: Sequence[GenerationRequest], soft: Float[Tensor, "N K D"]
) -> Iterator[tuple[int, LLMEvent]]:
    """Answer all requests side by side; yield what each says, with its index, as it is said.

    Args:
        llm: The language model.
        requests: Conversations, each with its own sampling: an answer does not depend on its neighbours.
        soft: The soft tokens of all their media, in order.
    """
    generation = BatchGenerator(llm)
    generation.add(enumerate(requests), soft)
    while generation.request_ids:
        yield from generation.step()


class BatchGenerator:
    """Conversations that are answered side by side, and may come and go between two steps."""

    def __init__(self, llm: LanguageModel) -> None:
        self._llm = llm
        self._running, self._new = _SequenceBatch(), _SequenceBatch()

    @property
    def request_ids(self) -> list[int]:
        """Keys of the conversations that are being answered."""
        return [row.request_id for batch in (self._running, self._new) for row in batch.rows]

    def add(self, requests: Iterable[tuple[int, GenerationRequest]], soft: Float[Tensor, "N K D"]) -> None:
        """Begin to answer more conversations, each under a key of the caller's; ``soft`` as for :func:`generate`."""
        self._merge_new()
        remaining = iter(soft)
        rows = [_Sequence(self._llm, key, request, remaining) for key, request in requests]
        self._new = _SequenceBatch(
            rows, BatchedKVCache([row.cached_prefix for row in rows], soft.device) if rows else None
        )

    def leave(self, request_ids: Collection[int]) -> None:
        """Answer these conversations no further."""
        for batch in (self._running, self._new):
            batch.select([place for place, row in enumerate(batch.rows) if row.request_id not in request_ids])

    def step(self) -> Iterator[tuple[int, LLMEvent]]:
        """Take one step of every conversation; newcomers hear their prompts apart, so that nobody is padded to them."""
        for batch in (self._running, self._new):
            if batch.rows:
                yield from batch.step(self._llm)
        self._merge_new()

    def _merge_new(self) -> None:
        """Put newcomers beside those that are running; places that are padding in every row go on the way."""
        if self._new.rows:
            if self._running.rows:
                self._running.append(self._new)
            else:
                self._running = self._new
        self._new = _SequenceBatch()


class _SequenceBatch:
    """Rows that are fed together, and their keys and values."""

    def __init__(self, rows: Sequence[_Sequence] = (), cache: BatchedKVCache | None = None) -> None:
        self.rows = list(rows)
        self.cache = cache

    def step(self, llm: LanguageModel) -> Iterator[tuple[int, LLMEvent]]:
        assert self.cache is not None, "a batch with rows has a cache"
        hidden = _forward(llm, self.rows, self.cache)
        logits = llm.logits(torch.stack([states[-1] for states in hidden]))  # (B, Vn)
        barred = torch.stack(
            [row.grammar.mask(scores) for row, scores in zip(self.rows, logits, strict=True)]
        )
        samplings, generators = [row.sampling for row in self.rows], [row.generator for row in self.rows]
        chosen = sample_next_tokens(logits + barred, samplings, generators)
        for row, states, token_id in zip(self.rows, hidden, chosen, strict=True):
            for spoken in row.on_token(states, token_id):
                yield row.request_id, spoken
        for place, row in enumerate(self.rows):
            if row.is_done:
                llm.prefix_cache.insert(row.cached_keys, self.cache.extract(place))
        self.select([place for place, row in enumerate(self.rows) if not row.is_done])

    def select(self, places: list[int]) -> None:
        """Keep the rows at these places only; the last ones take the places of those that go."""
        if len(places) == len(self.rows):
            return
        if places and self.cache is not None:
            self.rows = [self.rows[place] for place in self.cache.select(places)]
        else:
            self.rows, self.cache = [], None

    def append(self, other: _SequenceBatch) -> None:
        """Take in the rows of another batch."""
        assert self.cache is not None and other.cache is not None, "a batch with rows has a cache"
        self.cache.append(other.cache)
        self.rows += other.rows


def _forward(
    llm: LanguageModel, rows: Sequence[_Sequence], batch: BatchedKVCache
) -> list[Float[Tensor, "n D"]]:
    """Feed every row's queue in one step; give the hidden states of each row's own positions."""
    queues = [row.pop_pending() for row in rows]
    said = [queue for queue, _ in queues if not isinstance(queue, Tensor)]
    embedded = iter(
        llm.embed_ids([token_id for ids in said for token_id in ids]).split([len(ids) for ids in said])
    )
    fed = [queue if isinstance(queue, Tensor) else next(embedded) for queue, _ in queues]  # (n, D) each
    embeddings, mask = _left_pad(fed)
    starts = torch.tensor([start for _, start in queues], device=mask.device)
    positions = (starts[:, None] + mask.long().cumsum(dim=1) - 1).clamp(min=0)
    hidden = llm.hidden_states(embeddings, batch.extend(mask), positions, batch.cache)  # (B, T, D)
    return [states[-len(queue) :] for states, queue in zip(hidden, fed, strict=True)]


def _left_pad(rows: Sequence[Float[Tensor, "_ D"]]) -> tuple[Float[Tensor, "B T D"], Bool[Tensor, "B T"]]:
    lengths = torch.tensor([len(row) for row in rows], device=rows[0].device)
    longest = int(lengths.max())
    padded = [
        row if len(row) == longest else torch.nn.functional.pad(row, (0, 0, longest - len(row), 0))
        for row in rows
    ]
    return torch.stack(padded), torch.arange(longest, device=lengths.device) >= longest - lengths[:, None]


class _Sequence:
    """One conversation while it is answered: what is to be fed next, and what was said so far."""

    def __init__(
        self, llm: LanguageModel, key: int, request: GenerationRequest, soft: Iterator[Float[Tensor, "K D"]]
    ) -> None:
        sampling, keys = request.sampling, request.prompt.cache_keys(llm.soft_tokens)
        self.request_id = key
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
        )
        self._detokenizer = IncrementalDetokenizer(llm.tokenizer.decode, self._stop_strings)
        self._open_span: str | None = None
        """The modality whose run is being fed."""
        self._is_edit = False
        self._segments: list[Segment] = []
        self._token_ids: list[int] = []
        self._dropped: list[str] = []

    def pop_pending(self) -> tuple[Float[Tensor, "n D"] | tuple[int, ...], int]:
        """What is to be fed now, embedded or as token ids, and the position of its first."""
        start = len(self.cached_keys)
        self.cached_keys += self._pending_keys
        return self._pending, start

    def on_token(self, hidden: Float[Tensor, "n D"], token_id: int) -> Iterator[LLMEvent]:
        """Take the hidden states of what was fed and the token chosen after it, and say the next thing."""
        if self._open_span is not None:
            yield self._finish_span(hidden)
        if self._tokens_left == 0:
            yield from self._finish()
            return
        if token_id in self._llm.end_ids:
            yield from self._finish()
        elif token_id < self._llm.vocabulary_size:
            yield from self._append_text_token(token_id)
        else:
            yield from self._append_signal_token(token_id)

    def _append_text_token(self, token_id: int) -> Iterator[LLMEvent]:
        words = self._detokenizer.add_token(token_id)
        if words:
            yield TextDelta(words)
        self._append((token_id,))
        if self._detokenizer.is_stopped or self._tokens_left == 0:
            yield from self._finish()

    def _append_signal_token(self, token_id: int) -> Iterator[LLMEvent]:
        self._open_span = self._llm.signals.vocabulary.modality_started_by(token_id)
        run = (
            (token_id,) if self._open_span is None else self._llm.signals.vocabulary.span_ids(self._open_span)
        )
        if len(run) > self._tokens_left or (self._open_span is None and self._tokens_left == 1):
            yield from self._truncate(self._open_span or "edit", len(run))
            return
        yield from self._flush_text()
        self._append(run)
        self._is_edit = self._is_edit or self._open_span is None

    def _append(self, ids: tuple[int, ...]) -> None:
        self.grammar.accept(ids[0])
        self._token_ids += ids
        self._tokens_left -= len(ids)
        self._pending, self._pending_keys = ids, list(ids)

    def _finish_span(self, hidden: Float[Tensor, "n D"]) -> MediumSegment:
        assert self._open_span is not None, "a run is being fed"
        segment = MediumSegment(self._open_span, hidden, self._is_edit)
        self._segments.append(segment)
        self._open_span, self._is_edit = None, False
        return segment

    def _flush_text(self) -> Iterator[TextDelta]:
        words = self._detokenizer.flush()
        if words:
            yield TextDelta(words)
        if self._detokenizer.text:
            self._segments.append(TextSegment(self._detokenizer.text))
        self._detokenizer = IncrementalDetokenizer(self._llm.tokenizer.decode, self._stop_strings)

    def _truncate(self, what: str, needed: int) -> Iterator[LLMEvent]:
        self._dropped.append(f"{what}: {needed} signal tokens needed, {self._tokens_left} tokens left")
        yield from self._finish()

    def _finish(self) -> Iterator[LLMEvent]:
        yield from self._flush_text()
        self.is_done = True
        yield LLMOutput(tuple(self._segments), tuple(self._token_ids), tuple(self._dropped))
