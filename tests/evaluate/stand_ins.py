"""A system and extractors that need no model, so that whole runs take a second."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import PIL.Image

from nextgpt.evaluate.standard.item_systems.base import ItemSystem
from nextgpt.evaluate.standard.items import EvalItem
from nextgpt.evaluate.standard.media_features import Extractors
from nextgpt.message import Audio, Image, Medium, Reply, Text, Video

WITHOUT_MODEL = ("truth", "shuffled", "unchanged")


class StandIn:
    """Answers with a text and media of the expected modalities, which depend on the seed only."""

    def __init__(self, delay_s: float = 0.0) -> None:
        self.batches: list[list[str]] = []
        self.delay_s = delay_s

    def answer(self, items: Sequence[EvalItem], seeds: Sequence[int]) -> list[Reply]:
        """See :meth:`~nextgpt.evaluate.standard.item_systems.base.ItemSystem.answer`."""
        time.sleep(self.delay_s)
        self.batches.append([item.id for item in items])
        return [
            Reply((Text("a red cat on grass"), *(noise(name, seed) for name in item.expected_modalities)), seed)
            for item, seed in zip(items, seeds, strict=True)
        ]


def noise(modality: str, seed: int) -> Medium:
    """Return a small medium of noise."""
    rng = np.random.default_rng(seed)
    if modality == "audio":
        return Audio(rng.uniform(-0.5, 0.5, (1, 8000)).astype(np.float32), 16_000)
    frames = rng.integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    return Image(PIL.Image.fromarray(frames[0])) if modality == "image" else Video(frames, 8.0)


class MeanColors:
    """Extractor: means of three parts of a medium; texts by their lengths."""

    name = "mean-colors"
    modalities = ("image", "audio")
    outputs = ("joint",)
    weights_hash = "0" * 64
    preprocessing = "none"

    def __init__(self) -> None:
        self.extracted = 0

    def extract(self, media: Sequence[Medium]) -> np.ndarray:
        """Return features (n, 3)."""
        self.extracted += len(media)
        values = [np.asarray(m.samples if isinstance(m, Audio) else m.image, np.float64).ravel() for m in media]
        return np.array([[part.mean() for part in np.array_split(value, 3)] for value in values])

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return features (n, 3)."""
        return np.array([[len(text), text.count("a"), text.count(" ")] for text in texts], np.float64)


def create(system: ItemSystem):
    """Return a creator of systems: ``system`` in place of all that need a model."""
    from nextgpt.evaluate.standard.item_systems import registry

    def create_system(name: str, context: registry.SystemContext) -> ItemSystem:
        return registry.SYSTEMS[name](context, "") if name in WITHOUT_MODEL else system

    return create_system


def extractors(extractor: MeanColors) -> Extractors:
    """Return the extractors of a run."""
    return Extractors([extractor])
