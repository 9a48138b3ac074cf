from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from tests.evaluate.stand_ins import MeanColors, noise

from nextgpt.errors import ConfigError, MediaError
from nextgpt.evaluate.metrics import METRICS
from nextgpt.evaluate.standard import feature_store
from nextgpt.evaluate.standard.feature_store import FeatureStore
from nextgpt.evaluate.standard.media_features import MAX_FRAMES, Extractors
from nextgpt.message import Video


class Videos(MeanColors):
    name, modalities = "videos", ("video",)


class Published(MeanColors):
    name = METRICS["fid"].published[0]


def test_videos_are_taken_frame_by_frame_by_extractors_of_images() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2 * MAX_FRAMES, 8, 8, 3), dtype=np.uint8)
    video, short = Video(frames, 8.0), noise("video", 0)
    extractor = Extractors([MeanColors()]).choose(METRICS["fid"], "video")
    arrays = extractor.media([lambda: video, lambda: short])
    assert [array.shape for array in arrays] == [(MAX_FRAMES, 3), (4, 3)]
    assert np.isclose(arrays[0][0], [part.mean() for part in np.array_split(frames[0].ravel(), 3)]).all()
    assert f"at most {MAX_FRAMES} frames" in extractor.preprocessing


def test_the_first_fitting_extractor_is_taken_and_a_published_one_before_all() -> None:
    def name(metric: str, modality: str, *extractors: MeanColors) -> str:
        return Extractors(extractors).choose(METRICS[metric], modality).name

    assert name("fid", "video", Videos(), MeanColors()) == "videos"
    assert name("clipsim", "video", Videos(), MeanColors()) == "mean-colors"  # it needs frames
    assert name("fid", "image", MeanColors(), Published()) == Published.name
    with pytest.raises(ConfigError, match=r"no extractor gives class probabilities of image\. Add one with"):
        name("is", "image", MeanColors())


def test_features_are_stored_by_content_and_only_missing_ones_are_computed(tmp_path: Path) -> None:
    computed: list[str] = []

    def get(store: FeatureStore, names: str, extractor: str = "x") -> list[np.ndarray]:
        paths = [tmp_path / name for name in names]
        for path in paths:
            path.write_text(path.name.lower())  # files of equal content, such as a and A

        def compute(indices: Sequence[int]) -> list[np.ndarray]:
            computed.extend(names[index].lower() for index in indices)
            return [np.full((1 + index % 2, 2), ord(names[index].lower())) for index in indices]

        return store.media(extractor, paths, compute)

    first = get(FeatureStore(tmp_path), "abaA")
    assert sorted(computed) == ["a", "b"]
    assert [array[0, 0] for array in first] == [97, 98, 97, 97]
    store = FeatureStore(tmp_path)
    second = get(store, "bcA")
    assert computed[2:] == ["c"]
    assert [array.shape for array in second] == [first[1].shape, (2, 2), first[0].shape]
    get(store, "C", "other")
    assert computed[3:] == ["c"]
    with pytest.raises(
        MediaError, match=r"missing\.png cannot be read \(No such file.*; expected the file of an answer"
    ):
        store.media("x", [tmp_path / "missing.png"], lambda indices: [])


def test_texts_are_no_media(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    (tmp_path / "a").write_text("a")
    store.media("x", [tmp_path / "a"], lambda indices: [np.zeros((1, 2))])
    assert store.texts("x", ["a"], lambda indices: [np.ones((1, 2))])[0].all()


def test_a_killed_extraction_keeps_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_store, "SEGMENT", 2)
    sizes: list[int] = []

    def compute(indices: Sequence[int]) -> list[np.ndarray]:
        if len(sizes) == 2:
            raise KeyboardInterrupt
        sizes.append(len(indices))
        return [np.zeros((1, 2)) for _ in indices]

    with pytest.raises(KeyboardInterrupt):
        FeatureStore(tmp_path).texts("x", list("abcdef"), compute)
    sizes.clear()
    FeatureStore(tmp_path).texts("x", list("abcdef"), compute)
    assert sizes == [2]
