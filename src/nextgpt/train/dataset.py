"""Training examples: dialogue sources, the batches of a step, and the local batch of each process.

A batch is a function of the seed and the step. Its dialogues are of similar length, so that little is padding. An
invalid record is replaced by a draw of its own position in the batch, so that the batch does not depend on the number
of processes; it is counted and listed. Independent of the sources of dialogues.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import PIL.Image
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from nextgpt.config import ModelConfig
from nextgpt.data.record import Dialogue, InvalidRecord, MediaFile
from nextgpt.errors import ConfigError, ConversationError, MediaError
from nextgpt.message import Audio, Conversation, Image, Medium, Video
from nextgpt.modality import MODALITIES
from nextgpt.model.encoding.base import Features
from nextgpt.model.llm.prompt import Prompt
from nextgpt.train.batch_pickle import dumps, loads
from nextgpt.train.stages import Stage

BatchMixing = Literal["mixed", "one_source_per_batch"]
BatchUnit = Literal["example", "turn"]
LENGTH_POOL_BATCHES = 8
"""Batches of dialogues that are drawn, sorted by length, to take one batch from, unless a recipe says otherwise."""
MAX_DRAWS = 100
"""Draws per position of a batch before the training gives up."""
_CHARACTERS_PER_TOKEN = 4.4
_INPUT_MEDIUM_TOKENS = 12
_MESSAGE_TOKENS = 6
"""To sort dialogues by length without a tokenizer: typical numbers of tokens, the last of a template's markers."""
PLACEHOLDER_MEDIA: dict[str, Medium] = {
    "image": Image(PIL.Image.new("RGB", (1, 1))),
    "audio": Audio(np.zeros((1, 1), dtype=np.float32), 16_000),
    "video": Video(np.zeros((1, 1, 1, 3), dtype=np.uint8), 8.0),
}


@dataclass(frozen=True)
class SourceContext:
    """The training that dialogue sources are loaded for."""

    stage: Stage
    model_config: ModelConfig
    model_dir: Path
    work: Path


@runtime_checkable
class DialogueSource(Protocol):
    """Dialogues by index; opening their media may fail."""

    @property
    def name(self) -> str: ...

    @property
    def weight(self) -> float:
        """Sampling weight of its dialogues, relative to other sources."""
        ...

    @property
    def invalid(self) -> Sequence[InvalidRecord]:
        """Records that could not be read."""
        ...

    def __len__(self) -> int: ...

    def dialogue(self, index: int) -> Dialogue:
        """Return a dialogue; the same one for the same index."""
        ...

    def fingerprint(self) -> Any:
        """Return JSON values that change with the dialogues. Raises :class:`ConfigError` if they can't be cached."""
        ...

    def summary(self) -> tuple[str, str]:
        """Return format and number of records, for the model card."""
        ...


@dataclass(frozen=True)
class Example:
    """A conversation to train on."""

    conversation: Conversation
    captions: tuple[str, ...] = ()
    """Captions of the assistant's media, in order."""
    edit_indices: frozenset[int] = field(default_factory=frozenset)
    """Indices of edits among the assistant's media."""
    is_truncated: bool = False
    """True if the last answer is cut off, so that the end of its turn is not trained on."""


@dataclass(frozen=True, eq=False)
class EncodedItem:
    """Outputs of the frozen components for one dialogue."""

    features: tuple[Features, ...]
    """Features of the user's media, in order."""
    targets: tuple[Float[Tensor, "_ _"], ...]
    """Caption embeddings (Q, C) of the assistant's media."""
    latents: tuple[Float[Tensor, "_ _ _ _"] | None, ...] = ()
    """(F, Z, h, w) of each of the assistant's media that exists, if a loss needs them."""


@dataclass(frozen=True, eq=False)
class TrainingItem:
    """An example with its media decoded, or with the outputs of the frozen components."""

    key: str
    example: Example
    prompt: Prompt
    """Built by the data worker, in parallel to the training."""
    target_captions: tuple[tuple[str, str], ...]
    """Modality and caption of each of the assistant's media."""
    seed: int
    """Seed of the noise on its latents."""
    input_media: tuple[Medium, ...] = ()
    target_media: tuple[Medium | None, ...] = ()
    """The assistant's media, if a loss needs them; None for files that do not exist."""
    encoded: EncodedItem | None = None


@dataclass(frozen=True)
class LocalBatch:
    """The items of one process in one step."""

    items: tuple[TrainingItem, ...]
    invalid: tuple[InvalidRecord, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """Return the names of the examples."""
        return tuple(item.key for item in self.items)

    def split(self, size: int) -> list[LocalBatch]:
        """Split into micro-batches of at most ``size`` examples."""
        return [LocalBatch(self.items[start : start + size]) for start in range(0, len(self.items), size)]


CacheLookup = Callable[[Dialogue], EncodedItem]
"""Raises :class:`MediaError` for a medium that was invalid when the cache was built."""
BuildPrompt = Callable[[Example], Prompt]
"""Raises :class:`ConversationError` for an example that is too long."""


def example_of(dialogue: Dialogue, input_media: Sequence[Medium] | None) -> Example:
    """Return a dialogue as an example.

    Placeholders replace the assistant's media, whose captions are what is trained on, and the user's media if
    ``input_media`` is None.
    """
    output_ids = {id(medium) for medium in dialogue.output_media}
    remaining = iter(input_media or ())

    def open_medium(medium: MediaFile) -> Medium:
        if id(medium) in output_ids or input_media is None:
            return replace(PLACEHOLDER_MEDIA[medium.modality])  # a copy: edits are recognized by identity
        return next(remaining)

    edits = frozenset(index for index, medium in enumerate(dialogue.output_media) if medium.is_edit)
    captions = tuple(medium.caption for medium in dialogue.output_media)
    return Example(dialogue.conversation(open_medium), captions, edits, dialogue.is_truncated)


@dataclass(frozen=True)
class BatchSampler:
    """Draws the batches of a run."""

    sources: tuple[DialogueSource, ...]
    batch_size: int
    """Units per step, over all processes."""
    seed: int
    build_prompt: BuildPrompt
    batch_mixing: BatchMixing = "mixed"
    batch_unit: BatchUnit = "example"
    cache_lookup: CacheLookup | None = None
    loads_targets: bool = False
    """True to decode the assistant's media too, if they exist."""
    length_pool_batches: int = LENGTH_POOL_BATCHES
    """Batches of dialogues that are drawn, sorted by length, to take one batch from."""

    def local_batch(self, step: int, rank: int = 0, world_size: int = 1) -> LocalBatch:
        """Return every ``world_size``-th example of a step, so that all processes get similar lengths."""
        invalid: list[InvalidRecord] = []
        items = [
            self._valid_item(dialogue, np.random.default_rng([self.seed, step, position]), invalid)
            for position, dialogue in enumerate(self.global_batch(step))
            if position % world_size == rank
        ]
        if not items:
            raise ConfigError(
                f"Step {step} has fewer examples than the {world_size} processes; expected one per process. "
                "Raise fit.batch_size, or start fewer processes."
            )
        return LocalBatch(tuple(items), tuple(invalid))

    def global_batch(self, step: int) -> list[Dialogue]:
        """Draw the dialogues of a step: neighbors in length among several batches."""
        rng = np.random.default_rng([self.seed, step])
        source = self._draw_source(rng) if self.batch_mixing == "one_source_per_batch" else None
        pool: list[Dialogue] = []
        units = 0
        while units < self.batch_size * self.length_pool_batches:
            pool.append(self._draw(rng, source))
            units += self._num_units(pool[-1])
        selected = int(rng.integers(self.length_pool_batches))
        batches: list[list[Dialogue]] = [[] for _ in range(self.length_pool_batches)]
        units = 0
        for dialogue in sorted(pool, key=_estimated_tokens):
            batches[min(units // self.batch_size, self.length_pool_batches - 1)].append(dialogue)
            units += self._num_units(dialogue)
        return batches[selected] or batches[0]

    def _num_units(self, dialogue: Dialogue) -> int:
        if self.batch_unit == "example":
            return 1
        return sum(turn.role == "assistant" for turn in dialogue.turns)

    def _draw_source(self, rng: np.random.Generator) -> DialogueSource:
        weights = np.array([source.weight for source in self.sources])
        return self.sources[int(rng.choice(len(self.sources), p=weights / weights.sum()))]

    def _draw(self, rng: np.random.Generator, source: DialogueSource | None = None) -> Dialogue:
        source = source or self._draw_source(rng)
        return source.dialogue(int(rng.integers(len(source))))

    def _valid_item(self, dialogue: Dialogue, rng: np.random.Generator, invalid: list[InvalidRecord]) -> TrainingItem:
        seed = int(rng.integers(2**31))
        for _ in range(MAX_DRAWS):
            try:
                return self._load_item(dialogue, seed)
            except (MediaError, ConversationError) as error:
                invalid.append(InvalidRecord(dialogue.key, str(error)))
                dialogue = self._draw(rng)
        raise ConfigError(
            f"{MAX_DRAWS} records in a row are invalid (the last, {invalid[-1].key}: {invalid[-1].reason}); expected "
            "some that can be read. Run nextgpt data validate on the sources."
        )

    def _load_item(self, dialogue: Dialogue, seed: int) -> TrainingItem:
        for medium in dialogue.output_media:
            if not medium.caption:
                raise MediaError(f"{medium.name} is an output of the assistant without a caption. Add its caption.")
        target_captions = tuple((medium.modality, medium.caption) for medium in dialogue.output_media)
        encoded = self.cache_lookup(dialogue) if self.cache_lookup else None
        input_media = None if encoded else tuple(medium.open() for medium in dialogue.input_media)
        example = example_of(dialogue, input_media)
        loads_targets = self.loads_targets and not encoded
        target_media = tuple(open_if_present(medium) for medium in dialogue.output_media) if loads_targets else ()
        prompt = self.build_prompt(example)
        return TrainingItem(
            dialogue.key, example, prompt, target_captions, seed, input_media or (), target_media, encoded
        )


def open_if_present(medium: MediaFile) -> Medium | None:
    """Decode a medium if its file exists. Raises :class:`MediaError` if the file is invalid."""
    return None if medium.is_missing else medium.open()


def _estimated_tokens(dialogue: Dialogue) -> float:
    signal_tokens = sum(MODALITIES[medium.modality].signal_count for medium in dialogue.output_media)
    return (
        len(dialogue.text) / _CHARACTERS_PER_TOKEN
        + _INPUT_MEDIUM_TOKENS * len(dialogue.input_media)
        + signal_tokens
        + _MESSAGE_TOKENS * len(dialogue.turns)
    )


class _StepDataset(Dataset):
    """Local batches by step, for the workers of a DataLoader; serialized by :mod:`.batch_pickle`."""

    def __init__(self, sampler: BatchSampler, rank: int, world_size: int, max_steps: int) -> None:
        self.sampler, self.rank, self.world_size, self.max_steps = sampler, rank, world_size, max_steps

    def __len__(self) -> int:
        return self.max_steps

    def __getitem__(self, step: int) -> bytes:
        return dumps(self.sampler.local_batch(step, self.rank, self.world_size))


def iterate_batches(
    sampler: BatchSampler, *, first: int, max_steps: int, rank: int, world_size: int, num_workers: int
) -> Iterator[LocalBatch]:
    """Yield the local batches of one process from step ``first`` on, loaded in ``num_workers`` other processes."""
    if not num_workers:
        yield from (sampler.local_batch(step, rank, world_size) for step in range(first, max_steps))
        return
    yield from map(
        loads,
        DataLoader(
            _StepDataset(sampler, rank, world_size, max_steps),
            sampler=range(first, max_steps),
            batch_size=None,
            num_workers=num_workers,
            prefetch_factor=4,
            multiprocessing_context="fork",
        ),
    )


class InvalidRecordLog:
    """A JSON lines file of invalid records; each is listed once, over all restarts of a run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else []
        complete = [line for line in lines if line.endswith("\n")]  # a killed run may have left half a line
        self._listed = {InvalidRecord(**json.loads(line)) for line in complete}
        if len(complete) < len(lines):
            path.write_text("".join(complete), encoding="utf-8")

    def __len__(self) -> int:
        return len(self._listed)

    def add(self, records: Iterable[InvalidRecord]) -> None:
        """Append the records that are not listed yet."""
        new = [record for record in dict.fromkeys(records) if record not in self._listed]
        if not new:
            return
        self._listed.update(new)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write("".join(json.dumps(asdict(record)) + "\n" for record in new))

    def record(self, batches: Iterator[LocalBatch]) -> Iterator[LocalBatch]:
        """Yield batches and append their invalid records."""
        for batch in batches:
            self.add(batch.invalid)
            yield batch
