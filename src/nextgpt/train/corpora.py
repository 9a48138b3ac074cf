"""The data source ``corpora``: caption pairs and dialogues on disk, in any format of :mod:`nextgpt.data`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from nextgpt.config import parse_config
from nextgpt.data.corpus import Corpus, read_corpus
from nextgpt.data.record import CaptionPair, Dialogue, InvalidRecord, MediaFile, PairTask, dialogue_of
from nextgpt.errors import ConfigError
from nextgpt.model.quirks import QUIRKS
from nextgpt.train.dataset import SourceContext

TargetCaptions = Literal["raw", "cleaned"]
TASKS: dict[str, tuple[PairTask, ...]] = {
    "encoding-alignment": ("captioning",),
    "decoding-alignment": ("generation",),
    "instruction-tuning": ("captioning", "generation"),
}
"""Uses of caption pairs by stage."""


class CorpusConfig(BaseModel):
    """A corpus of a training."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Path
    format: str | None = None
    """A name of :data:`nextgpt.data.formats.FORMATS`. None: detected from the file."""
    media: Path | None = None
    """Folder of the media. None: the folder of the file."""
    weight: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Sampling weight of its dialogues, relative to other sources."""
    task: PairTask | None = None
    """Use of caption pairs. None: as the stage needs, both in turn if it needs both."""
    limit: int | None = None
    """Number of records that are read. None: all."""
    target_captions: TargetCaptions = "raw"
    """Captions whose embeddings are targets: ``raw``, as in the corpus and as published, or ``cleaned``, as the quirks
    rewrite them for the prompt. The same without quirks."""


@dataclass(frozen=True)
class CorpusSource:
    """A corpus as a dialogue source; pairs are numbered once per task."""

    name: str
    corpus: Corpus
    weight: float
    tasks: tuple[PairTask, ...]
    rewrite_caption: Callable[[str], str] | None = None
    """Applied to the captions of pairs in the prompt; a module-level function, since workers unpickle it."""
    target_captions: TargetCaptions = "raw"
    """Captions of the media of pairs: ``raw``, or ``cleaned`` by ``rewrite_caption``."""

    @property
    def invalid(self) -> Sequence[InvalidRecord]:
        """Return the rows that could not be read."""
        return self.corpus.invalid

    def __len__(self) -> int:
        return len(self.corpus.records) * len(self.tasks)

    def dialogue(self, index: int) -> Dialogue:
        """Return a dialogue by index."""
        number, task = divmod(index, len(self.tasks))
        record = self.corpus.records[number]
        if self.rewrite_caption is None or not isinstance(record, CaptionPair):
            return dialogue_of(record, self.tasks[task])
        cleaned = replace(record.medium, caption=self.rewrite_caption(record.caption))
        dialogue = dialogue_of(replace(record, medium=cleaned), self.tasks[task])
        return dialogue if self.target_captions == "cleaned" else _with_medium(dialogue, record.medium)

    def fingerprint(self) -> dict[str, Any]:
        """Return values that change with the records and tasks."""
        values = {"corpus": self.corpus.fingerprint(), "tasks": list(self.tasks)}
        return values if self.rewrite_caption is None else {**values, "target_captions": self.target_captions}

    def summary(self) -> tuple[str, str]:
        """Return format and number of records."""
        return self.corpus.format, f"{len(self.corpus.records):,}"


def parse(values: Mapping[str, Any], where: str) -> dict[str, CorpusConfig]:
    """Parse the settings of corpora by name."""
    if not values:
        raise ConfigError(f"{where} is empty; expected at least one corpus, for example {where}.cc3m.path. Add one.")
    return {
        name: value if isinstance(value, CorpusConfig) else parse_config(CorpusConfig, value, where=f"{where}.{name}")
        for name, value in values.items()
    }


def load_sources(configs: Mapping[str, CorpusConfig], context: SourceContext) -> tuple[CorpusSource, ...]:
    """Read all corpora. Raises :class:`ConfigError` if one can't be read."""
    quirks = QUIRKS.get(context.model_config.quirks or "")
    return tuple(
        CorpusSource(
            name,
            read_corpus(config.path, format=config.format, media=config.media, limit=config.limit),
            config.weight,
            (config.task,) if config.task else TASKS[context.stage.name],
            quirks.caption if quirks else None,
            config.target_captions,
        )
        for name, config in configs.items()
    )


def _with_medium(dialogue: Dialogue, medium: MediaFile) -> Dialogue:
    """Replace the medium of a caption pair's dialogue."""
    turns = (
        replace(turn, parts=tuple(medium if isinstance(part, MediaFile) else part for part in turn.parts))
        for turn in dialogue.turns
    )
    return replace(dialogue, turns=tuple(turns))
