"""The data source ``corpora``: caption pairs and dialogues on disk, in any format of :mod:`nextgpt.data`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from nextgpt.config import parse_config
from nextgpt.data.corpus import Corpus, read_corpus
from nextgpt.data.record import CaptionPair, Dialogue, InvalidRecord, PairTask, dialogue_of
from nextgpt.errors import ConfigError
from nextgpt.model.quirks import QUIRKS
from nextgpt.train.dataset import SourceContext

TASKS: dict[str, tuple[PairTask, ...]] = {
    "encoding-alignment": ("captioning",),
    "decoding-alignment": ("generation",),
    "instruction-tuning": ("captioning", "generation"),
}
"""What caption pairs are used for in each stage."""


class CorpusConfig(BaseModel):
    """A corpus of a training."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Path
    format: str | None = None
    """A name of :data:`nextgpt.data.formats.FORMATS`. None: detected from the file."""
    media: Path | None = None
    """Folder of the media. None: the folder of the file."""
    weight: float = 1.0
    """How often dialogues are drawn from it, relative to other sources."""
    task: PairTask | None = None
    """Use of caption pairs. None: as the stage needs, both in turn if it needs both."""
    limit: int | None = None
    """Number of records that are read. None: all."""


@dataclass(frozen=True)
class CorpusSource:
    """A corpus as a dialogue source; pairs are numbered once per task."""

    name: str
    corpus: Corpus
    weight: float
    tasks: tuple[PairTask, ...]
    rewrite_caption: Callable[[str], str] | None = None
    """Applied to the captions of pairs; a module-level function, since workers unpickle it."""

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
        if self.rewrite_caption is not None and isinstance(record, CaptionPair):
            caption = self.rewrite_caption(record.caption)
            record = replace(record, medium=replace(record.medium, caption=caption))
        return dialogue_of(record, self.tasks[task])

    def fingerprint(self) -> dict[str, Any]:
        """Return values that change with the records and tasks."""
        return {"corpus": self.corpus.fingerprint(), "tasks": list(self.tasks)}

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
        )
        for name, config in configs.items()
    )
