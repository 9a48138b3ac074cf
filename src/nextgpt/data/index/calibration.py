"""Calibrate ``auto``: find the score from which a retrieved medium is better than a generated one.

Sampled items are requested by their captions while they are left out of the index. Both results are compared with the
true medium by the encoder. The threshold of a modality is the one that gives the most similar media on average.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from nextgpt.data.index.encoders import normalize
from nextgpt.data.index.files import CALIBRATION, Calibration, write_atomically
from nextgpt.data.index.media_index import MediaIndex
from nextgpt.logging import ProgressCallback
from nextgpt.message import Conversation, Medium, Reply, Sampling, Via

REQUESTS = {"image": "Draw {caption}.", "audio": "Play {caption}.", "video": "Make a video of {caption}."}
MAX_SHARE = 0.2
"""Maximum share of a modality's items that are left out of the index as cases."""
BATCH_SIZE = 16
NEVER = 2.0
"""Threshold above all cosines: ``auto`` then always generates."""


@runtime_checkable
class BatchModel(Protocol):
    """The method of :class:`~nextgpt.model.nextgpt.NextGPT` that a calibration calls."""

    def chat_batch(
        self,
        conversations: Sequence[Conversation],
        sampling: Sampling,
        *,
        via: Via = "generate",
        index: MediaIndex | None = None,
    ) -> list[Reply]:
        """Reply to several conversations."""
        ...


@dataclass(frozen=True)
class Outcomes:
    """Cases of one modality: the score of the retrieved item, and both similarities to the true medium."""

    scores: Float[np.ndarray, " N"]
    retrieved: Float[np.ndarray, " N"]
    generated: Float[np.ndarray, " N"]

    def similarity(self, threshold: float) -> float:
        """Return the mean similarity to the true media if ``auto`` retrieves from ``threshold`` upwards."""
        return float(np.where(self.scores >= threshold, self.retrieved, self.generated).mean())

    def best_threshold(self) -> float:
        """Return the threshold with the highest mean similarity; of equal ones the highest."""
        return max([NEVER, *map(float, self.scores)], key=lambda threshold: (self.similarity(threshold), threshold))


def calibrate(
    index: MediaIndex,
    model: BatchModel,
    *,
    limit: int = 100,
    seed: int = 0,
    on_progress: ProgressCallback = lambda *_: None,
) -> Calibration:
    """Write the thresholds of all modalities into the index and return them.

    Args:
        limit: Cases per modality. Cases to which ``model`` replies without a medium do not count.
    """
    thresholds: dict[str, float] = {}
    evidence: dict[str, dict[str, float]] = {}
    for modality in index.modalities:
        outcomes = _measure(index, model, modality, limit, seed, on_progress)
        if len(outcomes.scores) == 0:
            continue
        thresholds[modality] = outcomes.best_threshold()
        evidence[modality] = {
            "cases": len(outcomes.scores),
            "retrieve": outcomes.similarity(-1.0),
            "generate": outcomes.similarity(NEVER),
            "auto": outcomes.similarity(thresholds[modality]),
            "retrieved_share": float((outcomes.scores >= thresholds[modality]).mean()),
        }
    found = Calibration(thresholds=thresholds, evidence=evidence)
    write_atomically(index.folder / CALIBRATION, lambda file: file.write_text(found.model_dump_json(indent=1) + "\n"))
    index.thresholds.clear()
    index.thresholds.update(thresholds)
    return found


def _measure(
    index: MediaIndex, model: BatchModel, modality: str, limit: int, seed: int, on_progress: ProgressCallback
) -> Outcomes:
    """Answer requests for sampled items by retrieval and by synthesis."""
    numbers = index.numbers(modality)
    count = min(limit, max(1, int(MAX_SHARE * len(numbers))))
    cases = [numbers[i] for i in np.random.default_rng(seed).permutation(len(numbers))[:count]]
    captions = [index.item(number)[1].caption for number in cases]
    held_out = frozenset(captions)
    others = index.without(lambda medium: medium.caption in held_out)  # the same caption may have several media
    rows: list[tuple[float, float, float]] = []
    for start in range(0, len(cases), BATCH_SIZE):
        batch = slice(start, start + BATCH_SIZE)
        rows += _compare(others, model, modality, cases[batch], captions[batch], seed)
        on_progress(f"calibrate {modality}", min(start + BATCH_SIZE, len(cases)), len(cases))
    return Outcomes(*np.array(rows, np.float64).reshape(-1, 3).T)


def _compare(
    index: MediaIndex, model: BatchModel, modality: str, cases: Sequence[int], captions: Sequence[str], seed: int
) -> list[tuple[float, float, float]]:
    """Return score and both similarities of the cases that are answered with a medium."""
    conversations = [Conversation().with_message(REQUESTS[modality].format(caption=caption)) for caption in captions]
    sampling = Sampling(seed=seed, modalities=("text", modality))
    found = model.chat_batch(conversations, sampling, via="retrieve", index=index)
    answered = [row for row, reply in enumerate(found) if reply.attributions]
    if not answered:
        return []
    made = model.chat_batch([conversations[row] for row in answered], sampling)
    truth = np.stack([index.media_vector(cases[row], modality) for row in answered])
    center = index.media_mean(modality)
    similarities = [
        _cosines(index.encoders.embed_media([_first(reply, modality) for reply in replies]), truth, center)
        for replies in ([found[row] for row in answered], made)
    ]
    scores = [next(iter(found[row].attributions.values())).score for row in answered]
    return list(zip(scores, *similarities, strict=True))


def _first(reply: Reply, modality: str) -> Medium:
    return next(medium for medium in reply.message.media if medium.modality == modality)


def _cosines(
    vectors: Float[np.ndarray, "N E"], truth: Float[np.ndarray, "N E"], center: Float[np.ndarray, " E"]
) -> list[float]:
    """Return the cosines of pairs after centring: what all media have in common says nothing."""
    return np.sum(normalize(vectors - center) * normalize(truth - center), axis=1).tolist()
