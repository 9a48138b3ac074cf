"""Media of an index instead of synthesized ones, with source and licence.

The condition that the output projection predicts is compared with the caption embeddings of the index, so nothing is
trained for retrieval. Edits are always synthesized. :mod:`nextgpt.data.index` has the index.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, get_args, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from nextgpt.errors import ConfigError, MediaError, unknown_name_message
from nextgpt.message import Attribution, Medium, Via
from nextgpt.model.synthesis.batching import SegmentKey, SynthesisRequest

logger = logging.getLogger("nextgpt.model")

MAX_CANDIDATES = 5
"""Candidates per medium that are tried until one can be opened."""


@runtime_checkable
class Candidate(Protocol):
    """An item of an index that a search found."""

    @property
    def score(self) -> float:
        """Cosine similarity of its caption with the condition."""
        ...

    @property
    def attribution(self) -> Attribution:
        """Facts to show to the user."""
        ...

    def open(self) -> Medium:
        """Decode the medium. Raises :class:`MediaError`."""
        ...


@runtime_checkable
class RetrievalIndex(Protocol):
    """The methods of an index that replies need."""

    @property
    def modalities(self) -> Sequence[str]:
        """Modalities of which the index has items."""
        ...

    @property
    def thresholds(self) -> Mapping[str, float]:
        """Scores from which ``auto`` retrieves, by modality; empty until the index is calibrated."""
        ...

    def search_conditions(
        self, conditions: Float[Tensor, "B Q C"], modality: str, k: int
    ) -> Sequence[Sequence[Candidate]]:
        """Return the best items per condition, best first."""
        ...


@dataclass(frozen=True)
class RetrievedMedium:
    """A medium of an index."""

    medium: Medium
    attribution: Attribution


def check_via(via: str, index: RetrievalIndex | None) -> None:
    """Raise :class:`ConfigError` if ``via`` needs an index or a calibration that is missing."""
    if via not in get_args(Via):
        raise ConfigError(unknown_name_message("via", via, get_args(Via)))
    if via != "generate" and index is None:
        raise ConfigError(f"via={via} needs an index; build one with nextgpt data index, and pass it as index.")
    if via == "auto" and index is not None and not index.thresholds:
        raise ConfigError("via=auto needs calibrated scores; the index has none. Run nextgpt data calibrate on it.")


def retrieve(
    requests: Sequence[SynthesisRequest], via: Via, index: RetrievalIndex | None
) -> tuple[dict[SegmentKey, RetrievedMedium], list[SynthesisRequest]]:
    """Split requests into media from the index and requests that remain to be synthesized.

    A medium remains to be synthesized if it is an edit, if the index has no item of its modality, if ``auto`` finds
    nothing similar enough, or if none of the candidates' files can be opened.
    """
    if via == "generate" or index is None:
        return {}, list(requests)
    retrieved: dict[SegmentKey, RetrievedMedium] = {}
    for modality in index.modalities:
        queries = [item for item in requests if item.modality == modality and item.edit_source is None]
        if not queries or (via == "auto" and modality not in index.thresholds):
            continue
        threshold = index.thresholds[modality] if via == "auto" else -1.0
        conditions = torch.stack([request.condition for request in queries])
        for request, candidates in zip(
            queries, index.search_conditions(conditions, modality, MAX_CANDIDATES), strict=True
        ):
            medium = _first_readable(candidate for candidate in candidates if candidate.score >= threshold)
            if medium is not None:
                retrieved[request.key] = medium
    remaining = [_with_source(request, retrieved) for request in requests if request.key not in retrieved]
    return retrieved, remaining


def _first_readable(candidates: Iterable[Candidate]) -> RetrievedMedium | None:
    for candidate in candidates:
        try:
            return RetrievedMedium(candidate.open(), candidate.attribution)
        except MediaError as error:
            logger.warning("an indexed medium cannot be opened: %s", error)
    return None


def _with_source(request: SynthesisRequest, retrieved: Mapping[SegmentKey, RetrievedMedium]) -> SynthesisRequest:
    """Return the request with the medium that it edits, if that was retrieved."""
    source = request.edit_source
    if isinstance(source, tuple) and source in retrieved:
        return replace(request, edit_source=retrieved[source].medium)
    return request
