from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.evaluate.stand_ins import MeanColors, noise

from nextgpt.errors import ConfigError
from nextgpt.evaluate.feature_store import FeatureStore
from nextgpt.evaluate.media_features import MAX_FRAMES, Extractors
from nextgpt.evaluate.metrics import METRICS
from nextgpt.message import Video


class Videos(MeanColors):
    name, modalities = "videos", ("video",)


class Published(MeanColors):
    name = METRICS["fid"].published[0]


def test_videos_are_taken_frame_by_frame_by_extractors_of_images() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2 * MAX_FRAMES, 8, 8, 3), dtype=np.uint8)
    video, short = Video(frames, 8.0), noise("video", 0)
    extractor = Extractors(lambda: [MeanColors()]).choose(METRICS["fid"], "video")
    arrays = extractor.media([lambda: video, lambda: short])
    assert [array.shape for array in arrays] == [(MAX_FRAMES, 3), (4, 3)]
    assert np.isclose(arrays[0][0], [part.mean() for part in np.array_split(frames[0].ravel(), 3)]).all()
    assert f"at most {MAX_FRAMES} frames" in extractor.preprocessing


def test_the_first_fitting_extractor_is_taken_and_a_published_one_before_all() -> None:
    def name(metric: str, modality: str, *extractors: MeanColors) -> str:
        return Extractors(lambda: list(extractors)).choose(METRICS[metric], modality).name

    assert name("fid", "video", Videos(), MeanColors()) == "videos"
    assert name("clipsim", "video", Videos(), MeanColors()) == "mean-colors"  # it needs frames
    assert name("fid", "image", MeanColors(), Published()) == Published.name
    with pytest.raises(ConfigError, match=r"no extractor gives class probabilities of image\. Add one with"):
        name("is", "image", MeanColors())


def test_features_are_stored_and_only_missing_ones_are_computed(tmp_path: Path) -> None:
    store, computed = FeatureStore(tmp_path), []

    def compute(names: list[str]) -> list[np.ndarray]:
        computed.extend(names)
        return [np.full((len(name), 2), float(len(name))) for name in names]

    first = store.get("x", "direct", ["a", "bb", "a"], compute)
    second = store.get("x", "direct", ["bb", "ccc"], compute)
    assert computed == ["a", "bb", "ccc"]
    assert [array.shape for array in (*first, *second)] == [(1, 2), (2, 2), (1, 2), (2, 2), (3, 2)]
    store.get("x", "cascade", ["a"], compute)
    assert computed[-1] == "a"
