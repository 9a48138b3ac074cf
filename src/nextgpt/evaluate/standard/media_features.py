"""Choose an extractor for a metric and run it over media in batches; videos frame by frame if it needs images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nextgpt.errors import ConfigError
from nextgpt.evaluate.extractors import default_extractors, find_extractor
from nextgpt.evaluate.metrics import Metric
from nextgpt.media import uniform_indices
from nextgpt.message import Image, Medium, Video

BATCH_SIZE = 32
"""Media that are open at a time."""
MAX_FRAMES = 8
"""Frames of a video, evenly spaced, for extractors of images."""
Open = Callable[[], Medium]


@dataclass(frozen=True)
class MediaExtractor:
    """An extractor for one kind of output and one modality."""

    extractor: Any
    """See :mod:`nextgpt.evaluate.extractors`."""
    output: str
    """``features``, ``probabilities`` or ``joint``."""
    by_frame: bool = False
    """Take the frames of a video as images."""

    @property
    def name(self) -> str:
        """Name of the extractor."""
        return self.extractor.name

    @property
    def weights_hash(self) -> str:
        """Hash of the weights."""
        return self.extractor.weights_hash

    @property
    def key(self) -> str:
        """Name of its files in the run folder."""
        kind = f"{self.output}-frames" if self.by_frame else self.output
        return f"{self.name}-{kind}-{self.weights_hash[:12]}"

    @property
    def preprocessing(self) -> str:
        """Preprocessing of media."""
        frames = f"; at most {MAX_FRAMES} frames per video" if self.by_frame else ""
        return f"{self.extractor.preprocessing}{frames}"

    def media(self, openers: Sequence[Open]) -> list[np.ndarray]:
        """Return an array (k, d) per medium; k is its number of frames or windows, 1 if it is taken as a whole."""
        arrays: list[np.ndarray] = []
        for start in range(0, len(openers), BATCH_SIZE):
            media = [list(self._units(opener())) for opener in openers[start : start + BATCH_SIZE]]
            if self.output == "features" and "windows" in self.extractor.outputs:
                # FAD takes all windows of all audio as one distribution.
                arrays += self.extractor.extract_windows([unit for units in media for unit in units])
                continue
            vectors = self._extract([unit for units in media for unit in units])
            arrays += np.split(vectors, np.cumsum([len(units) for units in media])[:-1])
        return arrays

    def texts(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Return an array (1, d) per text."""
        return list(np.asarray(self.extractor.embed_texts(list(texts)))[:, None])

    def _extract(self, media: Sequence[Medium]) -> np.ndarray:
        method = self.extractor.probabilities if self.output == "probabilities" else self.extractor.extract
        return np.asarray(method(media))

    def _units(self, medium: Medium) -> Iterator[Medium]:
        if isinstance(medium, Video) and self.by_frame:
            for index in uniform_indices(len(medium.frames), min(MAX_FRAMES, len(medium.frames))):
                yield Image(medium.frames[index])
        else:
            yield medium


class Extractors:
    """Extractors of a run, in order of preference.

    Args:
        extractors: See :class:`~nextgpt.evaluate.extractors.LazyExtractor`; nothing is loaded before it is used.
    """

    def __init__(self, extractors: Sequence[Any]) -> None:
        self._extractors = extractors

    def choose(self, metric: Metric, modality: str) -> MediaExtractor:
        """Return the first extractor that fits; one that papers use for this metric comes before all others.

        Raises:
            ConfigError: There is none.
        """
        assert metric.extractor is not None, metric.name
        wanted = {modality, "image"} if modality == "video" else {modality}
        if "output_frames" in metric.needs:
            wanted = {"image"}
        for extractor in sorted(self._extractors, key=lambda extractor: extractor.name not in metric.published):
            usable = wanted & set(extractor.modalities)
            if usable and metric.extractor in ("features", *extractor.outputs):
                return MediaExtractor(
                    extractor, metric.extractor, by_frame=modality == "video" and "video" not in usable
                )
        raise ConfigError(
            f"no extractor gives {_OUTPUTS[metric.extractor]} of {modality}. Add one with --extractor NAME=PATH; "
            "docs/evaluation.md lists them."
        )

    def load(self) -> None:
        """Load all extractors. Raises :class:`~nextgpt.errors.WeightsError` if a file holds other weights."""
        for extractor in self._extractors:
            _ = extractor.loaded


_OUTPUTS = {"features": "features", "probabilities": "class probabilities", "joint": "features of media and texts"}


def find_extractors(names: Sequence[str], model: str) -> Extractors:
    """Find extractors by ``NAME`` or ``NAME=PATH``; without names, those that need no path and are installed.

    Raises:
        ConfigError: An extractor is unknown, or its package or weights are missing.
    """
    if names:
        return Extractors([find_extractor(name, model) for name in names])
    return Extractors(default_extractors(model))
