"""The score from which auto retrieves."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from numpy.testing import assert_allclose

from nextgpt.data.index import MediaIndex
from nextgpt.data.index.calibration import MIN_CONDITIONS, NEVER, ConditionRecorder, Outcomes, calibrate
from nextgpt.data.index.encoders import pool_conditions
from nextgpt.message import Conversation, Image, Reply, Sampling
from nextgpt.model.synthesis.prompt_encoder import PromptEncoder


def outcomes(scores: Sequence[float], retrieved: Sequence[float], generated: Sequence[float]) -> Outcomes:
    return Outcomes(*(np.array(values, np.float64) for values in (scores, retrieved, generated)))


def test_the_threshold_separates_good_retrieval_from_bad():
    found = outcomes([0.9, 0.8, 0.4, 0.3], [1, 1, 0, 0], [0.5, 0.5, 0.5, 0.5])
    assert found.best_threshold() == 0.8
    assert found.similarity(0.8) == 0.75


def test_retrieval_that_is_never_better_is_never_used():
    found = outcomes([0.9, 0.8], [0.1, 0.2], [0.5, 0.5])
    assert found.best_threshold() == NEVER
    assert found.similarity(NEVER) == 0.5


def test_retrieval_that_is_always_better_is_used_for_all_scores_that_were_seen():
    assert outcomes([0.9, 0.2], [1, 1], [0.5, 0.5]).best_threshold() == 0.2


@dataclass
class FakeChat:
    """Generates black squares, and retrieves what the words of the request find."""

    requests: list[str] = field(default_factory=list)
    found: list[str] = field(default_factory=list)

    def chat_batch(
        self,
        conversations: Sequence[Conversation],
        sampling: Sampling,
        *,
        via: str = "generate",
        index: MediaIndex | ConditionRecorder | None = None,
    ) -> list[Reply]:
        if not isinstance(index, MediaIndex):
            return [Reply((Image(PIL.Image.new("RGB", (16, 16))),)) for _ in conversations]
        (modality,) = {name for name in sampling.modalities or () if name != "text"}
        if modality != "image":
            return [Reply(()) for _ in conversations]
        texts = [conversation.messages[-1].text for conversation in conversations]
        self.requests += texts
        hits = [row[0] for row in index.search_texts(texts, "image", k=1)]
        self.found += [hit.caption for hit in hits]
        return [Reply((hit.open(),), attributions={0: hit.attribution}) for hit in hits]


@pytest.fixture
def copied_index(index_dir: Path, tmp_path: Path) -> MediaIndex:
    """An index to write into, with paths that still lead to the corpus."""
    copy = index_dir.with_name(f"{tmp_path.name}-index")
    shutil.copytree(index_dir, copy)
    return MediaIndex.open(copy)


def test_calibration_leaves_its_cases_out_of_the_index_and_is_kept(copied_index: MediaIndex):
    model = FakeChat()
    found = calibrate(copied_index, model, limit=9)
    assert found.thresholds.keys() == {"image"}  # the other modalities got no medium
    assert found.evidence["image"]["cases"] == 1  # a fifth of five
    [request], [caption] = model.requests, model.found
    assert caption not in request
    assert MediaIndex.open(copied_index.folder).thresholds == found.thresholds


def test_the_mean_of_enough_conditions_is_measured():
    recorder = ConditionRecorder("image")
    assert recorder.search_conditions(torch.ones(MIN_CONDITIONS - 1, 2, 3), "image") == [[]] * (MIN_CONDITIONS - 1)
    assert recorder.mean is None
    recorder.search_conditions(torch.full((1, 2, 3), 21.0), "image")
    assert_allclose(recorder.mean, np.full(3, 2.0))


def test_conditions_that_share_an_offset_find_their_captions_once_it_is_removed(index: MediaIndex, model_dir: Path):
    captions = ["a red square", "a green square", "a blue square", "a white square", "a grey square"]
    conditions = PromptEncoder(model_dir / "image").encode(captions) + 100 * torch.linspace(-1, 1, 16)
    assert [hits[0].caption for hits in index.search_conditions(conditions, "image")] != captions
    centered = index.with_condition_mean("image", pool_conditions(conditions).mean(axis=0))
    assert [hits[0].caption for hits in centered.search_conditions(conditions, "image")] == captions
