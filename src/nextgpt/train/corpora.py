"""Batches from corpora: which records make up step n, decoded in workers, a share for each process.

A batch is a function of the seed and the step. Its records are neighbours in length, so little is padding. A record
that turns out to be broken is replaced by another that its place in the batch draws, so that shares do not depend on
how many processes there are; it is counted and listed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import PIL.Image
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from nextgpt.data.corpus import Corpus, is_missing, read_corpus
from nextgpt.data.record import CaptionPair, Dialogue, Direction, InvalidRecord, MediaFile, dialogue_of
from nextgpt.errors import ConfigError, ConversationError, MediaError
from nextgpt.message import Audio, Image, Medium, Video
from nextgpt.model.encoding.base import Features
from nextgpt.model.llm.prompt import Prompt
from nextgpt.train.alignment import Example
from nextgpt.train.sending import packed, unpacked
from nextgpt.train.settings import BatchMixing, SourceConfig

POOL = 8
"""Batches' worth of records that are drawn to choose one batch of neighbours in length."""
TRIES = 100
"""Records that a place in a batch tries before it gives up."""
_MEDIUM_CHARACTERS = 30
"""What a medium counts for beside words when lengths are compared."""
_STAND_INS: dict[str, Medium] = {
    "image": Image(PIL.Image.new("RGB", (1, 1))),
    "audio": Audio(np.zeros((1, 1), dtype=np.float32), 16_000),
    "video": Video(np.zeros((1, 1, 1, 3), dtype=np.uint8), 8.0),
}

Recall = Callable[[Dialogue], "Known"]
"""What a cache knows of a dialogue. Raises :class:`MediaError` where it knows a medium for broken."""
Caption = Callable[[str], str]
"""What a caption is turned into before it is learned; a function of a module, as workers are sent it."""
LayOut = Callable[[Example], Prompt]
"""Raises :class:`ConversationError` for an example that the model cannot hear."""


@dataclass(frozen=True)
class Source:
    """A corpus that was read, as dialogues."""

    name: str
    corpus: Corpus
    weight: float
    directions: tuple[Direction, ...]
    caption: Caption | None = None
    """What becomes of the captions of pairs."""

    def __len__(self) -> int:
        return len(self.corpus.records) * len(self.directions)

    def dialogue(self, index: int) -> Dialogue:
        """A dialogue by its number; pairs are numbered once for each direction."""
        number, direction = divmod(index, len(self.directions))
        record = self.corpus.records[number]
        if self.caption is not None and isinstance(record, CaptionPair):
            record = replace(record, medium=replace(record.medium, caption=self.caption(record.caption)))
        return dialogue_of(record, self.directions[direction])


def read_sources(
    configs: dict[str, SourceConfig], directions: tuple[Direction, ...], *, caption: Caption | None = None
) -> tuple[Source, ...]:
    """Read all corpora, captions of pairs through ``caption``. Raises :class:`ConfigError` where one cannot be read."""
    if not configs:
        raise ConfigError(
            "sources is empty; expected at least one corpus, for example sources.cc3m.path. Name one."
        )
    return tuple(
        Source(
            name,
            read_corpus(config.path, format=config.format, media=config.media, limit=config.limit),
            config.weight,
            (config.task,) if config.task else directions,
            caption,
        )
        for name, config in configs.items()
    )


@dataclass(frozen=True, eq=False)
class Known:
    """What was computed of a dialogue before: features of what is given, conditions and latents of what is made."""

    features: tuple[Features, ...]
    targets: tuple[Float[Tensor, "Q C"], ...]
    latents: tuple[Float[Tensor, "_ _ _ _"] | None, ...] = ()
    """(F, Z, h, w) of each medium that is made and is there, where a loss needs them."""


@dataclass(frozen=True, eq=False)
class Item:
    """An example with its given media, decoded, or with what is known of them."""

    key: str
    example: Example
    prompt: Prompt
    """The example as the model hears it; woven where its media are decoded, beside the training."""
    made: tuple[tuple[str, str], ...]
    """Modality and caption of each medium that the assistant makes."""
    seed: int
    """Of the noise under which its media are put."""
    given: tuple[Medium, ...] = ()
    opened: tuple[Medium | None, ...] = ()
    """What the assistant makes, where a loss needs it and it is there."""
    known: Known | None = None


@dataclass(frozen=True)
class Batch:
    """A process's share of one step."""

    items: tuple[Item, ...]
    broken: tuple[InvalidRecord, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of the examples."""
        return tuple(item.key for item in self.items)

    def split(self, size: int) -> list[Batch]:
        """Parts of at most ``size`` examples."""
        return [Batch(self.items[start : start + size]) for start in range(0, len(self.items), size)]


def example_of(dialogue: Dialogue, given: Sequence[Medium] | None) -> Example:
    """A dialogue as an example. Stand-ins take the place of what is made, whose captions say what to learn, and of what
    is given where ``given`` is None, since its features are known."""
    places = {id(part): index for index, part in enumerate(dialogue.output_media)}
    remaining = iter(given or ())

    def opened(part: MediaFile) -> Medium:
        if id(part) in places or given is None:
            return replace(_STAND_INS[part.modality])  # edits are told apart by identity
        return next(remaining)

    edits = frozenset(index for index, medium in enumerate(dialogue.output_media) if medium.is_edit)
    return Example(
        dialogue.conversation(opened), tuple(medium.caption for medium in dialogue.output_media), edits
    )


@dataclass(frozen=True)
class Sampler:
    """Draws the batches of a run."""

    sources: tuple[Source, ...]
    batch_size: int
    """Examples of one step, all processes together."""
    seed: int
    lay_out: LayOut
    mixing: BatchMixing = "examples"
    """``batches``: one source a batch, so its modality alone; ``examples``: sources side by side."""
    recall: Recall | None = None
    opens_made: bool = False
    """Whether what the assistant makes is opened too, where it is there."""

    def share(self, step: int, rank: int = 0, world: int = 1) -> Batch:
        """The share of one of ``world`` processes in a step: every ``world``-th example, so all are alike in length."""
        broken: list[InvalidRecord] = []
        items = [
            self._item(dialogue, np.random.default_rng([self.seed, step, place]), broken)
            for place, dialogue in enumerate(self.plan(step))
            if place % world == rank
        ]
        return Batch(tuple(items), tuple(broken))

    def plan(self, step: int) -> list[Dialogue]:
        """The dialogues of a step: a pool is drawn and sorted by length, and one batch of it taken."""
        rng = np.random.default_rng([self.seed, step])
        source = self._source(rng) if self.mixing == "batches" else None
        pool = [self._draw(rng, source) for _ in range(self.batch_size * POOL)]
        start = int(rng.integers(POOL)) * self.batch_size
        return sorted(pool, key=_length)[start : start + self.batch_size]

    def _source(self, rng: np.random.Generator) -> Source:
        weights = np.array([source.weight for source in self.sources])
        return self.sources[int(rng.choice(len(self.sources), p=weights / weights.sum()))]

    def _draw(self, rng: np.random.Generator, source: Source | None = None) -> Dialogue:
        source = source or self._source(rng)
        return source.dialogue(int(rng.integers(len(source))))

    def _item(self, dialogue: Dialogue, rng: np.random.Generator, broken: list[InvalidRecord]) -> Item:
        seed = int(rng.integers(2**31))
        for _ in range(TRIES):
            try:
                return self._ready(dialogue, seed)
            except (MediaError, ConversationError) as error:
                broken.append(InvalidRecord(dialogue.key, str(error)))
                dialogue = self._draw(rng)
        raise ConfigError(
            f"{TRIES} records in a row are broken (the last, {broken[-1].key}: {broken[-1].reason}); expected some "
            "that can be read. Run nextgpt data validate on the sources."
        )

    def _ready(self, dialogue: Dialogue, seed: int) -> Item:
        for medium in dialogue.output_media:
            if not medium.caption:
                raise MediaError(
                    f"{medium.name} is made by the assistant and has no caption; expected one. Add it."
                )
        made = tuple((medium.modality, medium.caption) for medium in dialogue.output_media)
        known = self.recall(dialogue) if self.recall else None
        given = None if known else tuple(medium.open() for medium in dialogue.input_media)
        example = example_of(dialogue, given)
        opened = () if known or not self.opens_made else tuple(map(open_if_there, dialogue.output_media))
        return Item(dialogue.key, example, self.lay_out(example), made, seed, given or (), opened, known)


def open_if_there(medium: MediaFile) -> Medium | None:
    """Decode a medium, if there is a file. Raises :class:`MediaError` for one that is broken."""
    return None if is_missing(medium) else medium.open()


def _length(dialogue: Dialogue) -> int:
    return len(dialogue.text) + _MEDIUM_CHARACTERS * (len(dialogue.input_media) + len(dialogue.output_media))


class _Steps(Dataset):
    """Steps as a dataset, so that workers of torch decode those that come next; packed to be sent."""

    def __init__(self, sampler: Sampler, rank: int, world: int, steps: int) -> None:
        self.sampler, self.rank, self.world, self.steps = sampler, rank, world, steps

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> bytes:
        return packed(self.sampler.share(step, self.rank, self.world))


def shares(
    sampler: Sampler, *, first: int, steps: int, rank: int, world: int, workers: int
) -> Iterator[Batch]:
    """The shares of one process from step ``first`` on, in order, decoded in ``workers`` other processes."""
    if not workers:
        yield from (sampler.share(step, rank, world) for step in range(first, steps))
        return
    yield from map(
        unpacked,
        DataLoader(
            _Steps(sampler, rank, world, steps),
            sampler=range(first, steps),
            batch_size=None,
            num_workers=workers,
            prefetch_factor=4,
            multiprocessing_context="fork",
        ),
    )
