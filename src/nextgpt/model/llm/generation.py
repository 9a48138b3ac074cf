"""Third step: the language model answers, several conversations side by side.

Every step feeds each conversation's queue of positions: its prompt at first, then one chosen token, or a whole run of
signal tokens at once, as nothing is left to choose in it. So prefill, decoding and forced runs are one code, and 24
signal tokens of a video cost one step. Knows nothing of encoders and synthesizers.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from nextgpt.message import Sampling, TextPiece
from nextgpt.model.llm.grammar import Grammar
from nextgpt.model.llm.key_values import KeyValues
from nextgpt.model.llm.language_model import LanguageModel
from nextgpt.model.llm.sampling import choose
from nextgpt.model.llm.text_stream import TextStream
from nextgpt.model.llm.thought import MediumSegment, Segment, TextSegment, Thought
from nextgpt.model.llm.weaving import Prompt

Spoken = TextPiece | MediumSegment | Thought
"""What generation yields: words and media as they come, the whole thought at the end."""


@dataclass(frozen=True)
class Request:
    """One conversation to answer."""

    prompt: Prompt
    sampling: Sampling
    modalities: tuple[str, ...]
    """What may be answered, ``text`` included."""
    sources: tuple[str, ...] = ()
    """Modalities of which the conversation holds a medium that could be edited."""


def generate(
    llm: LanguageModel, requests: Sequence[Request], soft: Float[Tensor, "N K D"]
) -> Iterator[tuple[int, Spoken]]:
    """Answer all requests side by side; yield what each says, with its index, as it is said.

    Args:
        llm: The language model.
        requests: Conversations, each with its own sampling: an answer does not depend on its neighbours.
        soft: The soft tokens of all their media, in order.
    """
    generation = Generation(llm)
    generation.join(enumerate(requests), soft)
    while generation.keys:
        yield from generation.step()


class Generation:
    """Conversations that are answered side by side, and may come and go between two steps."""

    def __init__(self, llm: LanguageModel) -> None:
        self._llm = llm
        self._running, self._joining = _Batch(), _Batch()

    @property
    def keys(self) -> list[int]:
        """Keys of the conversations that are being answered."""
        return [row.key for batch in (self._running, self._joining) for row in batch.rows]

    def join(self, requests: Iterable[tuple[int, Request]], soft: Float[Tensor, "N K D"]) -> None:
        """Begin to answer more conversations, each under a key of the caller's; ``soft`` as for :func:`generate`."""
        self._admit()
        remaining = iter(soft)
        rows = [_Row(self._llm, key, request, remaining) for key, request in requests]
        self._joining = _Batch(rows, KeyValues([row.known for row in rows], soft.device) if rows else None)

    def leave(self, keys: Collection[int]) -> None:
        """Answer these conversations no further."""
        for batch in (self._running, self._joining):
            batch.keep([place for place, row in enumerate(batch.rows) if row.key not in keys])

    def step(self) -> Iterator[tuple[int, Spoken]]:
        """Take one step of every conversation; newcomers hear their prompts apart, so that nobody is padded to them."""
        for batch in (self._running, self._joining):
            if batch.rows:
                yield from batch.step(self._llm)
        self._admit()

    def _admit(self) -> None:
        """Put newcomers beside those that are running; places that are padding in every row go on the way."""
        if self._joining.rows:
            if self._running.rows:
                self._running.join(self._joining)
            else:
                self._running = self._joining
        self._joining = _Batch()


class _Batch:
    """Rows that are fed together, and their keys and values."""

    def __init__(self, rows: Sequence[_Row] = (), cache: KeyValues | None = None) -> None:
        self.rows = list(rows)
        self.cache = cache

    def step(self, llm: LanguageModel) -> Iterator[tuple[int, Spoken]]:
        assert self.cache is not None, "a batch with rows has a cache"
        hidden = _feed(llm, self.rows, self.cache)
        logits = llm.logits(torch.stack([states[-1] for states in hidden]))  # (B, Vn)
        barred = torch.stack(
            [row.grammar.barred(scores) for row, scores in zip(self.rows, logits, strict=True)]
        )
        samplings, generators = [row.sampling for row in self.rows], [row.generator for row in self.rows]
        chosen = choose(logits + barred, samplings, generators)
        for row, states, token_id in zip(self.rows, hidden, chosen, strict=True):
            for spoken in row.hear(states, token_id):
                yield row.key, spoken
        for place, row in enumerate(self.rows):
            if row.is_done:
                llm.prefixes.remember(row.fed, self.cache.row(place))
        self.keep([place for place, row in enumerate(self.rows) if not row.is_done])

    def keep(self, places: list[int]) -> None:
        """Keep the rows at these places only; the last ones take the places of those that go."""
        if len(places) == len(self.rows):
            return
        if places and self.cache is not None:
            self.rows = [self.rows[place] for place in self.cache.keep(places)]
        else:
            self.rows, self.cache = [], None

    def join(self, other: _Batch) -> None:
        """Take in the rows of another batch."""
        assert self.cache is not None and other.cache is not None, "a batch with rows has a cache"
        self.cache.join(other.cache)
        self.rows += other.rows


def _feed(llm: LanguageModel, rows: Sequence[_Row], batch: KeyValues) -> list[Float[Tensor, "n D"]]:
    """Feed every row's queue in one step; give the hidden states of each row's own positions."""
    queues = [row.take_queue() for row in rows]
    said = [queue for queue, _ in queues if not isinstance(queue, Tensor)]
    embedded = iter(
        llm.embed_ids([token_id for ids in said for token_id in ids]).split([len(ids) for ids in said])
    )
    fed = [queue if isinstance(queue, Tensor) else next(embedded) for queue, _ in queues]  # (n, D) each
    embeddings, mask = _pad_left(fed)
    starts = torch.tensor([start for _, start in queues], device=mask.device)
    positions = (starts[:, None] + mask.long().cumsum(dim=1) - 1).clamp(min=0)
    hidden = llm.think(embeddings, batch.extend(mask), positions, batch.cache)  # (B, T, D)
    return [states[-len(queue) :] for states, queue in zip(hidden, fed, strict=True)]


def _pad_left(rows: Sequence[Float[Tensor, "_ D"]]) -> tuple[Float[Tensor, "B T D"], Bool[Tensor, "B T"]]:
    lengths = torch.tensor([len(row) for row in rows], device=rows[0].device)
    longest = int(lengths.max())
    padded = [
        row if len(row) == longest else torch.nn.functional.pad(row, (0, 0, longest - len(row), 0))
        for row in rows
    ]
    return torch.stack(padded), torch.arange(longest, device=lengths.device) >= longest - lengths[:, None]


class _Row:
    """One conversation while it is answered: what is to be fed next, and what was said so far."""

    def __init__(
        self, llm: LanguageModel, key: int, request: Request, soft: Iterator[Float[Tensor, "K D"]]
    ) -> None:
        sampling, keys = request.sampling, request.prompt.keys(llm.soft_tokens)
        self.key = key
        self.is_done = False
        self.known = llm.prefixes.find(keys)
        start = self.known.length if self.known else 0
        self.fed: list[Hashable] = keys[:start]
        self._queue: Float[Tensor, "n D"] | tuple[int, ...] = llm.embed_prompt(request.prompt, soft)[start:]
        self._queued_keys = keys[start:]
        self._llm = llm
        self.sampling = sampling
        self._tokens_left = min(sampling.max_tokens, llm.context_length - len(keys))
        self.generator = torch.Generator().manual_seed(sampling.seed)
        self._stop = (*llm.template.stop, *sampling.stop)
        self.grammar = Grammar(
            llm.signals.ids,
            end_ids=llm.end_ids,
            silent_ids=llm.codec.special_ids,
            modalities=request.modalities,
            sources=request.sources,
        )
        self._stream = TextStream(llm.codec.decode, self._stop)
        self._run: str | None = None
        """The modality whose run is being fed."""
        self._is_edit = False
        self._segments: list[Segment] = []
        self._ids: list[int] = []
        self._dropped: list[str] = []

    def take_queue(self) -> tuple[Float[Tensor, "n D"] | tuple[int, ...], int]:
        """What is to be fed now, embedded or as token ids, and the position of its first."""
        start = len(self.fed)
        self.fed += self._queued_keys
        return self._queue, start

    def hear(self, hidden: Float[Tensor, "n D"], token_id: int) -> Iterator[Spoken]:
        """Take the hidden states of what was fed and the token chosen after it, and say the next thing."""
        if self._run is not None:
            yield self._end_run(hidden)
        if self._tokens_left == 0:
            yield from self._finish()
            return
        if token_id in self._llm.end_ids:
            yield from self._finish()
        elif token_id < self._llm.vocabulary_size:
            yield from self._say_word(token_id)
        else:
            yield from self._say_signal(token_id)

    def _say_word(self, token_id: int) -> Iterator[Spoken]:
        words = self._stream.add(token_id)
        if words:
            yield TextPiece(words)
        self._say((token_id,))
        if self._stream.is_stopped or self._tokens_left == 0:
            yield from self._finish()

    def _say_signal(self, token_id: int) -> Iterator[Spoken]:
        self._run = self._llm.signals.ids.begun_by(token_id)
        run = (token_id,) if self._run is None else self._llm.signals.ids.run(self._run)
        if len(run) > self._tokens_left or (self._run is None and self._tokens_left == 1):
            yield from self._drop(self._run or "edit", len(run))
            return
        yield from self._end_text()
        self._say(run)
        self._is_edit = self._is_edit or self._run is None

    def _say(self, ids: tuple[int, ...]) -> None:
        self.grammar.accept(ids[0])
        self._ids += ids
        self._tokens_left -= len(ids)
        self._queue, self._queued_keys = ids, list(ids)

    def _end_run(self, hidden: Float[Tensor, "n D"]) -> MediumSegment:
        assert self._run is not None, "a run is being fed"
        segment = MediumSegment(self._run, hidden, self._is_edit)
        self._segments.append(segment)
        self._run, self._is_edit = None, False
        return segment

    def _end_text(self) -> Iterator[TextPiece]:
        words = self._stream.finish()
        if words:
            yield TextPiece(words)
        if self._stream.text:
            self._segments.append(TextSegment(self._stream.text))
        self._stream = TextStream(self._llm.codec.decode, self._stop)

    def _drop(self, what: str, needed: int) -> Iterator[Spoken]:
        self._dropped.append(f"{what}: {needed} signal tokens needed, {self._tokens_left} tokens left")
        yield from self._finish()

    def _finish(self) -> Iterator[Spoken]:
        yield from self._end_text()
        self.is_done = True
        yield Thought(tuple(self._segments), tuple(self._ids), tuple(self._dropped))
