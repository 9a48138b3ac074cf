"""Open an index and search it; vectors are memory-mapped, and items are read when they are hit."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from nextgpt.data.index.approximate import open_lists, search_lists
from nextgpt.data.index.encoders import IndexEncoders, normalize, pool_conditions
from nextgpt.data.index.exact_search import search
from nextgpt.data.index.files import (
    ITEMS,
    LISTS_SUFFIX,
    OFFSETS,
    Manifest,
    parse_item,
    read_calibration,
    read_condition_mean,
    read_manifest,
)
from nextgpt.data.record import MediaFile
from nextgpt.errors import ConfigError
from nextgpt.message import Attribution, Medium

MEAN_SAMPLE = 4096
"""Maximum number of vectors from which the mean is estimated."""


@dataclass(frozen=True)
class Hit:
    """An item of the index that a search found."""

    score: float
    """Cosine similarity, -1 to 1."""
    item_id: str
    medium: MediaFile

    @property
    def path(self) -> Path:
        """File of the medium, or the tar that holds it."""
        return self.medium.path

    @property
    def caption(self) -> str:
        """Caption of the medium."""
        return self.medium.caption

    @property
    def modality(self) -> str:
        """Modality of the medium."""
        return self.medium.modality

    @property
    def source(self) -> str:
        """Origin of the medium; empty if unknown."""
        return self.medium.source

    @property
    def licence(self) -> str:
        """Licence of the medium; empty if unknown."""
        return self.medium.licence

    @property
    def attribution(self) -> Attribution:
        """Facts about a retrieved medium to show to the user."""
        return Attribution(self.item_id, self.caption, self.source, self.licence, self.score)

    def open(self) -> Medium:
        """Decode the medium. Raises :class:`MediaError`."""
        return self.medium.open()


@dataclass(frozen=True, eq=False)
class Table:
    """Vectors of the items of one modality."""

    start: int
    """Number of its first item."""
    captions: Float[np.ndarray, "N C"]
    mean: Float[np.ndarray, " C"]
    media: Float[np.ndarray, "N E"]
    words: Float[np.ndarray, "N E"] | None = None
    """Vectors of the captions in the space of media; None if the encoder embeds no texts."""
    excluded: Bool[np.ndarray, " N"] | None = None
    """Items that searches do not return."""
    condition_mean: Float[np.ndarray, " C"] | None = None
    """Mean of a model's conditions, measured by the calibration. Default: the captions' own mean."""

    def __len__(self) -> int:
        return len(self.captions)


class MediaIndex:
    """Captioned media of a corpus, found by caption, by a medium, or by a synthesizer's condition.

    Args:
        encoders: Encode captions and media; :meth:`search_conditions` needs none.
    """

    def __init__(
        self, folder: Path, manifest: Manifest, tables: dict[str, Table], encoders: IndexEncoders | None
    ) -> None:
        self.folder = folder
        self.manifest = manifest
        self.thresholds = dict(read_calibration(folder).thresholds)
        """Scores of conditions from which ``auto`` retrieves, by modality; empty until the index is calibrated."""
        self._tables = tables
        self._encoders = encoders
        self._lists: dict[str, Any] = {}

    @classmethod
    def open(cls, folder: str | Path) -> MediaIndex:
        """Open a complete index. Raises :class:`ConfigError`."""
        folder = Path(folder)
        manifest = read_manifest(folder)
        try:
            tables = {
                modality: Table(
                    entry.start,
                    np.load(folder / f"{modality}.captions.npy", mmap_mode="r"),
                    np.load(folder / f"{modality}.mean.npy"),
                    np.load(folder / f"{modality}.media.npy", mmap_mode="r"),
                    words=_open_if_any(folder / f"{modality}.words.npy"),
                    condition_mean=read_condition_mean(folder, modality),
                )
                for modality, entry in manifest.ranges.items()
            }
        except (OSError, ValueError) as error:
            raise ConfigError(f"{folder} is damaged ({error}); delete it and build the index again.") from error
        for modality, table in tables.items():
            if not manifest.ranges[modality].count == len(table.captions) == len(table.media):
                raise ConfigError(f"{folder} is damaged: {modality} has other counts. Build the index again.")
        return cls(folder, manifest, tables, None)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Modalities of which the index has items."""
        return tuple(self._tables)

    def __len__(self) -> int:
        return sum(map(len, self._tables.values()))

    @property
    def encoders(self) -> IndexEncoders:
        """Components of the model that the index was built with.

        Raises:
            ModelError: The model is missing.
            ConfigError: Its components have changed since.
        """
        if self._encoders is None:
            encoders = IndexEncoders(self.manifest.model)
            self.check_components(encoders.fingerprints())
            self._encoders = encoders
        return self._encoders

    def check_text_encoders(self, model: str | Path) -> None:
        """Raise :class:`ConfigError` if the conditions of ``model`` mean nothing in this index."""
        encoders = IndexEncoders(model)
        shared = [modality for modality in self.modalities if modality in encoders.modalities]
        self.check_components({modality: encoders.text_encoder_fingerprint(modality) for modality in shared})

    def check_components(self, fingerprints: dict[str, str]) -> None:
        """Raise :class:`ConfigError` if one of these components is not the one that made the vectors."""
        changed = [name for name, value in fingerprints.items() if self.manifest.components.get(name, value) != value]
        if changed:
            raise ConfigError(
                f"{self.folder} was built with another {', '.join(changed)} of {self.manifest.model}; its vectors mean "
                "nothing to this one. Use the model that it was built with, or build the index again."
            )

    def search_texts(self, captions: Sequence[str], modality: str, k: int = 5) -> list[list[Hit]]:
        """Return the items whose captions are most similar to each caption, best first."""
        return self._search_pooled(self.encoders.embed_captions(captions, modality), modality, k, None)

    def search_words(self, words: Sequence[str], modality: str, k: int = 5) -> list[list[Hit]]:
        """Return the items whose captions mean the same as each text, in whatever words, best first.

        Raises:
            ConfigError: The index has no vectors for words, as the encoder of the model embeds no texts.
        """
        table = self._table(modality)
        if table.words is None:
            raise ConfigError(
                f"{self.folder} cannot be searched by words, as the encoder of {self.manifest.model} embeds no texts. "
                "Search captions, or build the index with a model that lists text under embedding_modalities."
            )
        return self._hits(table, table.words, self.encoders.embed_words(words), k)

    def has_words(self, modality: str) -> bool:
        """Return whether :meth:`search_words` works."""
        return modality in self._tables and self._tables[modality].words is not None

    def search_media(self, media: Sequence[Medium], k: int = 5) -> list[list[Hit]]:
        """Return the items of the same modality that are most similar to each medium, best first."""
        results: dict[int, list[Hit]] = {}
        for modality in dict.fromkeys(medium.modality for medium in media):
            rows = [row for row, medium in enumerate(media) if medium.modality == modality]
            queries = self.encoders.embed_media([media[row] for row in rows])
            table = self._table(modality)
            results |= zip(rows, self._hits(table, table.media, queries, k), strict=True)
        return [results[row] for row in range(len(media))]

    def search_conditions(self, conditions: Float[Tensor, "B Q C"], modality: str, k: int = 5) -> list[list[Hit]]:
        """Return the items whose caption embeddings are most similar to each condition, best first."""
        mean = self._table(modality).condition_mean
        return self._search_pooled(pool_conditions(conditions), modality, k, mean)

    def without(self, is_excluded: Callable[[MediaFile], bool]) -> MediaIndex:
        """Return a view of the index that never returns the items for which ``is_excluded`` is true."""
        tables = {}
        for modality, table in self._tables.items():
            numbers = range(table.start, table.start + len(table))
            excluded = np.array([is_excluded(self.item(number)[1]) for number in numbers], bool)
            before = np.zeros(len(table), bool) if table.excluded is None else table.excluded
            tables[modality] = replace(table, excluded=before | excluded)
        return MediaIndex(self.folder, self.manifest, tables, self._encoders)

    def with_condition_mean(self, modality: str, mean: Float[np.ndarray, " C"]) -> MediaIndex:
        """Return a view of the index that centers conditions by their own mean.

        Requests are worded otherwise than captions of another origin. What all conditions have in common, and no
        caption, would otherwise decide: every request would find the same item.
        """
        tables = self._tables | {modality: replace(self._table(modality), condition_mean=mean)}
        return MediaIndex(self.folder, self.manifest, tables, self._encoders)

    def item(self, number: int) -> tuple[str, MediaFile]:
        """Return id and medium of an item by its number; modalities are ranges of numbers."""
        start, stop = (int(offset) for offset in self._offsets[number : number + 2])
        return parse_item(self._lines[start:stop], self.folder, self.manifest)

    def numbers(self, modality: str) -> list[int]:
        """Return the numbers of a modality's items that searches can return."""
        table = self._table(modality)
        return [table.start + row for row in range(len(table)) if table.excluded is None or not table.excluded[row]]

    def media_vector(self, number: int, modality: str) -> Float[np.ndarray, " E"]:
        """Return the encoder's vector of an item."""
        table = self._table(modality)
        return np.asarray(table.media[number - table.start], np.float32)

    def media_mean(self, modality: str) -> Float[np.ndarray, " E"]:
        """Return the mean of the encoder's vectors of at most :data:`MEAN_SAMPLE` items."""
        media = self._table(modality).media
        return np.asarray(media[:: max(1, len(media) // MEAN_SAMPLE)], np.float32).mean(axis=0)

    def _search_pooled(
        self, pooled: Float[np.ndarray, "B C"], modality: str, k: int, mean: Float[np.ndarray, " C"] | None
    ) -> list[list[Hit]]:
        """Search captions with vectors that lose ``mean``, by default that of the captions."""
        table = self._table(modality)
        if pooled.shape[1] != len(table.mean):
            raise ConfigError(
                f"{self.folder} has {modality} captions of width {len(table.mean)}; got conditions of width "
                f"{pooled.shape[1]}. Use the model that it was built with, or build the index again."
            )
        queries = normalize(pooled - (table.mean if mean is None else mean))
        lists = None if table.excluded is not None else self._open_lists(modality)
        if lists is not None:
            return self._read_hits(table, *search_lists(lists, queries, k))
        return self._hits(table, table.captions, queries, k)

    def _open_lists(self, modality: str) -> Any | None:
        """Return the lists for approximate search, if there are any."""
        if modality not in self._lists:
            self._lists[modality] = open_lists(self.folder / f"{modality}{LISTS_SUFFIX}")
        return self._lists[modality]

    def _hits(self, table: Table, vectors: np.ndarray, queries: np.ndarray, k: int) -> list[list[Hit]]:
        return self._read_hits(table, *search(vectors, queries, k, excluded=table.excluded))

    def _read_hits(self, table: Table, scores: np.ndarray, rows: np.ndarray) -> list[list[Hit]]:
        return [
            [
                Hit(float(score), *self.item(table.start + int(row)))
                for score, row in zip(*pair, strict=True)
                if row >= 0
            ]
            for pair in zip(scores, rows, strict=True)
        ]

    def _table(self, modality: str) -> Table:
        if modality not in self._tables:
            raise ConfigError(
                f"{self.folder} has no {modality}; it has {', '.join(self._tables)}. Index a corpus that has some."
            )
        return self._tables[modality]

    @cached_property
    def _offsets(self) -> np.ndarray:
        return np.load(self.folder / OFFSETS, mmap_mode="r")

    @cached_property
    def _lines(self) -> mmap.mmap:
        with (self.folder / ITEMS).open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _open_if_any(path: Path) -> np.ndarray | None:
    """Open a memory-mapped array if there is one."""
    return np.load(path, mmap_mode="r") if path.is_file() else None
