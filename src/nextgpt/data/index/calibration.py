"""Calibrate ``auto``: find the score from which a retrieved medium is better than a generated one.

Sampled items are requested by their captions. For every second one its item is excluded from the search, since
users also request what an index lacks. The encoder compares both results with the text of the request or, without a
text tower, with the true medium. The threshold of a modality is the one that gives the most similar media on average.
The mean of the conditions is measured too: searches subtract it, as the mean of the captions is subtracted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from torch import Tensor

from nextgpt.atomic_files import write_atomically
from nextgpt.data.index.encoders import normalize, pool_conditions
from nextgpt.data.index.files import CALIBRATION, Calibration
from nextgpt.data.index.media_index import Hit, MediaIndex
from nextgpt.logging import ProgressCallback
from nextgpt.message import Conversation, Medium, Reply, Sampling, Via
from nextgpt.modality import MODALITIES
from nextgpt.model.retrieval import RetrievalIndex

REQUESTS = {"image": "Draw {caption}.", "audio": "Play {caption}.", "video": "Make a video of {caption}."}
MAX_SHARE = 0.2
"""Maximum share of a modality's items that are left out of the index as cases."""
BATCH_SIZE = 16
MIN_CONDITIONS = 20
"""Number of conditions from which on their mean is used."""
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
        index: RetrievalIndex | None = None,
    ) -> list[Reply]:
        """Reply to several conversations."""
        ...


@dataclass(frozen=True)
class Outcomes:
    """Cases of one modality: the score of the retrieved item, and both similarities to the request."""

    scores: Float[np.ndarray, " N"]
    retrieved: Float[np.ndarray, " N"]
    generated: Float[np.ndarray, " N"]

    def similarity(self, threshold: float) -> float:
        """Return the mean similarity to the requests if ``auto`` retrieves from ``threshold`` upwards."""
        return float(np.where(self.scores >= threshold, self.retrieved, self.generated).mean())

    def best_threshold(self) -> float:
        """Return the threshold with the highest mean similarity; of equal ones the highest."""
        return max([NEVER, *map(float, self.scores)], key=lambda threshold: (self.similarity(threshold), threshold))


class ConditionRecorder:
    """An index that finds nothing, so that all media are generated, and keeps the conditions of the requests."""

    def __init__(self, modality: str) -> None:
        self.modalities = (modality,)
        self.thresholds: dict[str, float] = {}
        self._pooled: list[Float[np.ndarray, "B C"]] = []

    def search_conditions(
        self, conditions: Float[Tensor, "B Q C"], modality: str, k: int = 5
    ) -> Sequence[Sequence[Hit]]:
        """Keep the conditions and find nothing."""
        self._pooled.append(pool_conditions(conditions))
        return [[] for _ in conditions]

    @property
    def mean(self) -> Float[np.ndarray, " C"] | None:
        """Mean of all conditions; ``None`` if there are too few."""
        pooled = np.concatenate(self._pooled) if self._pooled else np.zeros((0, 1))
        return pooled.mean(axis=0) if len(pooled) >= MIN_CONDITIONS else None


def calibrate(
    index: MediaIndex,
    model: BatchModel,
    *,
    limit: int = 100,
    seed: int = 0,
    on_progress: ProgressCallback = lambda *_: None,
) -> Calibration:
    """Write thresholds and means of conditions into the index, and return them. Open the index again to use them.

    Args:
        limit: Cases per modality. Cases to which ``model`` replies without a medium do not count.
    """
    thresholds: dict[str, float] = {}
    evidence: dict[str, dict[str, float]] = {}
    means: dict[str, list[float]] = {}
    for modality in index.modalities:
        cases = _sample_cases(index, modality, limit, seed)
        recorder = ConditionRecorder(modality)
        outcomes = _measure(index, model, cases, recorder, seed, on_progress)
        if len(outcomes.scores) == 0:
            continue
        if recorder.mean is not None:
            means[modality] = recorder.mean.tolist()
        thresholds[modality] = outcomes.best_threshold()
        evidence[modality] = {
            "cases": len(outcomes.scores),
            "retrieve": outcomes.similarity(-1.0),
            "generate": outcomes.similarity(NEVER),
            "auto": outcomes.similarity(thresholds[modality]),
            "retrieved_share": float((outcomes.scores >= thresholds[modality]).mean()),
        }
    result = Calibration(thresholds=thresholds, condition_means=means, evidence=evidence)
    content = result.model_dump_json(indent=1) + "\n"
    write_atomically(index.folder / CALIBRATION, lambda file: file.write_text(content), sync=True)
    return result


@dataclass(frozen=True)
class Cases:
    """Items that are requested by their captions."""

    modality: str
    numbers: Sequence[int]
    captions: Sequence[str]

    def conversations(self, batch: slice) -> list[Conversation]:
        """Return the requests of a batch."""
        template = REQUESTS[self.modality]
        return [Conversation().with_message(template.format(caption=caption)) for caption in self.captions[batch]]

    def batches(self) -> list[slice]:
        """Return the ranges of all batches."""
        return [slice(start, start + BATCH_SIZE) for start in range(0, len(self.numbers), BATCH_SIZE)]


def _sample_cases(index: MediaIndex, modality: str, limit: int, seed: int) -> Cases:
    numbers = index.numbers(modality)
    count = min(limit, max(1, int(MAX_SHARE * len(numbers))))
    chosen = [numbers[i] for i in np.random.default_rng(seed).permutation(len(numbers))[:count]]
    return Cases(modality, chosen, [index.item(number)[1].caption for number in chosen])


def _measure(
    index: MediaIndex,
    model: BatchModel,
    cases: Cases,
    recorder: ConditionRecorder,
    seed: int,
    on_progress: ProgressCallback,
) -> Outcomes:
    """Answer all cases by synthesis, and then by retrieval with the mean of their conditions."""
    modality = cases.modality
    # As the routes for single media do: also a request that the model would decline gets its medium.
    sampling = Sampling(seed=seed, modalities=(modality,), max_tokens=MODALITIES[modality].signal_count)
    generated: list[Reply] = []
    for number, batch in enumerate(cases.batches(), start=1):
        generated += model.chat_batch(cases.conversations(batch), sampling, via="retrieve", index=recorder)
        on_progress(f"calibrate {modality}", number, len(cases.batches()))
    held_out = frozenset(cases.captions[::2])
    others = index.without(lambda medium: medium.caption in held_out)  # the same caption may have several media
    if recorder.mean is not None:
        others = others.with_condition_mean(modality, recorder.mean)
    retrieved: list[Reply] = []
    for batch in cases.batches():
        retrieved += model.chat_batch(cases.conversations(batch), sampling, via="retrieve", index=others)
    return _compare(index, cases, generated, retrieved)


def _compare(index: MediaIndex, cases: Cases, generated: Sequence[Reply], retrieved: Sequence[Reply]) -> Outcomes:
    """Compare the media of the cases that were answered in both ways with the requests."""
    modality = cases.modality
    answered = [row for row, reply in enumerate(retrieved) if reply.attributions and _media(generated[row], modality)]
    if not answered:
        return Outcomes(np.zeros(0), np.zeros(0), np.zeros(0))
    similarities = [
        _similarity_to_requests(index, cases, answered, [_media(replies[row], modality)[0] for row in answered])
        for replies in (retrieved, generated)
    ]
    scores = [next(iter(retrieved[row].attributions.values())).score for row in answered]
    return Outcomes(np.array(scores, np.float64), *similarities)


def _similarity_to_requests(
    index: MediaIndex, cases: Cases, rows: Sequence[int], media: Sequence[Medium]
) -> Float[np.ndarray, " N"]:
    """Return the cosines of media with the captions of their cases, or with the true media.

    True media favor retrieval where the model cannot generate their style, such as photographs: any photograph is then
    more similar than a drawing of the right object.
    """
    vectors = index.encoders.embed_media(media)
    if index.encoders.has_text_tower:
        return np.sum(vectors * index.encoders.embed_words([cases.captions[row] for row in rows]), axis=1)
    truth = np.stack([index.media_vector(cases.numbers[row], cases.modality) for row in rows])
    return _cosines(vectors, truth, index.media_mean(cases.modality))


def _media(reply: Reply, modality: str) -> list[Medium]:
    return [medium for medium in reply.message.media if medium.modality == modality]


def _cosines(
    vectors: Float[np.ndarray, "N E"], truth: Float[np.ndarray, "N E"], center: Float[np.ndarray, " E"]
) -> Float[np.ndarray, " N"]:
    """Return the cosines of pairs after centering, because all vectors share a large common component."""
    return np.sum(normalize(vectors - center) * normalize(truth - center), axis=1)
