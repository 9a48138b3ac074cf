"""Build, open and search an index."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from nextgpt.data.corpus import Corpus
from nextgpt.data.index import MediaIndex, build
from nextgpt.data.index.build import build_index
from nextgpt.data.index.encoders import IndexEncoders
from nextgpt.data.index.exact_search import search
from nextgpt.errors import ConfigError
from nextgpt.model.synthesis.prompt_encoder import PromptEncoder


def test_a_caption_finds_its_own_medium_in_every_modality(index: MediaIndex):
    assert index.modalities == ("image", "audio", "video")
    for modality, caption in {"image": "a blue square", "audio": "a tone", "video": "a moving square"}.items():
        [[hit, *_]] = index.search_texts([caption], modality)
        assert (hit.caption, hit.modality) == (caption, modality)
        assert hit.open().modality == modality


def test_scores_are_sorted_cosines(index: MediaIndex):
    [hits] = index.search_texts(["a red square"], "image", k=9)
    scores = [hit.score for hit in hits]
    assert len(hits) == 5  # all that can be read
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == pytest.approx(1, abs=2e-3)
    assert scores[-1] >= -1.001


def test_a_condition_equal_to_the_text_encoders_output_finds_the_caption(index: MediaIndex, model_dir: Path):
    conditions = PromptEncoder(model_dir / "image").encode(["a grey square", "a white square"])
    hits = index.search_conditions(conditions, "image", k=1)
    assert [row[0].caption for row in hits] == ["a grey square", "a white square"]


def test_a_medium_finds_itself(index: MediaIndex):
    media = [
        index.search_texts([caption], m, k=1)[0][0] for caption, m in (("a red square", "image"), ("a tone", "audio"))
    ]
    found = index.search_media([hit.open() for hit in media], k=1)
    assert [row[0].item_id for row in found] == [hit.item_id for hit in media]


def test_hits_carry_source_and_licence_of_the_item_or_of_the_build(index: MediaIndex):
    image, audio = index.search_texts(["a red square"], "image")[0][0], index.search_texts(["a tone"], "audio")[0][0]
    assert (image.source, image.licence) == ("the tests", "CC0")
    assert (audio.source, audio.licence) == ("a studio", "MIT")


def test_excluded_items_are_never_found(index: MediaIndex):
    view = index.without(lambda medium: medium.caption == "a blue square")
    assert "a blue square" not in [hit.caption for hit in view.search_texts(["a blue square"], "image", k=9)[0]]
    assert index.search_texts(["a blue square"], "image")[0][0].caption == "a blue square"


def test_unreadable_media_are_left_out_with_the_reason(index_dir: Path):
    [line] = (index_dir / "invalid.jsonl").read_text().splitlines()
    assert json.loads(line)["key"] == "own.jsonl/7"


def test_an_index_moves_with_its_corpus(index_dir: Path, corpus_file: Path, tmp_path: Path):
    """Paths are relative, so both may be copied to another place."""
    relative = os.path.relpath(index_dir, corpus_file.parent.parent)
    shutil.copytree(corpus_file.parent, tmp_path / corpus_file.parent.name)
    shutil.copytree(index_dir, tmp_path / relative)
    hit = MediaIndex.open(tmp_path / relative).search_texts(["a tone"], "audio")[0][0]
    assert hit.path.is_relative_to(tmp_path)
    assert hit.open().modality == "audio"


def test_a_second_build_computes_nothing(corpus: Corpus, model_dir: Path, index_dir: Path, monkeypatch):
    monkeypatch.setattr(IndexEncoders, "embed_media", None)
    report = build_index([corpus], index_dir, model=model_dir, source="the tests", licence="MIT")
    assert report.items == {"image": 5, "audio": 1, "video": 1}
    assert len(report.invalid) == 1


def test_a_folder_with_another_index_is_refused(corpus: Corpus, model_dir: Path, index_dir: Path):
    with pytest.raises(ConfigError, match="other licence"):
        build_index([corpus], index_dir, model=model_dir, source="the tests", licence="none")


def test_another_encoder_is_refused(index_dir: Path, tmp_path: Path):
    shutil.copytree(index_dir, tmp_path, dirs_exist_ok=True)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    manifest["components"]["image"] = "0"
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ConfigError, match="another image"):
        MediaIndex.open(tmp_path).search_texts(["a red square"], "image")


def test_conditions_of_another_width_are_refused(index: MediaIndex):
    with pytest.raises(ConfigError, match="width 3"):
        index.search_conditions(torch.zeros(1, 2, 3), "image")


def test_a_folder_without_an_index_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="holds no index"):
        MediaIndex.open(tmp_path)


KILLED_BUILD = """
import sys, time
from pathlib import Path
from nextgpt.data.corpus import read_corpus
from nextgpt.data.index import build
build.ITEMS_PER_PART = 1
save = build._save_arrays
def slow(path, arrays):
    save(path, arrays)
    print("part", flush=True)
    time.sleep(0.2)
build._save_arrays = slow
build.build_index([read_corpus(Path(sys.argv[1]))], Path(sys.argv[2]), model=sys.argv[3])
"""


@pytest.mark.slow
def test_a_killed_build_is_no_index_and_continues(
    corpus_file: Path, corpus: Corpus, model_dir: Path, tmp_path: Path, monkeypatch
):
    arguments = [sys.executable, "-c", KILLED_BUILD, str(corpus_file), str(tmp_path / "killed"), str(model_dir)]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    for _ in range(3):
        assert process.stdout.readline() == "part\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    with pytest.raises(ConfigError, match="is incomplete"):
        MediaIndex.open(tmp_path / "killed")
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "killed" / "parts").glob("*.npz")}
    assert 2 <= len(written) < 7
    monkeypatch.setattr(build, "ITEMS_PER_PART", 1)
    encoded: list[str] = []
    encode = build._encode
    monkeypatch.setattr(build, "_encode", lambda *args: encoded.append("") or encode(*args))
    build_index([corpus], tmp_path / "killed", model=model_dir)
    assert len(encoded) == 8 - len(written)
    build_index([corpus], tmp_path / "whole", model=model_dir)
    for path in sorted((tmp_path / "whole").iterdir()):
        assert path.read_bytes() == (tmp_path / "killed" / path.name).read_bytes(), path.name


def test_exact_search_equals_sorting_all_products():
    rng = np.random.default_rng(0)
    vectors, queries = rng.normal(size=(20_000, 8)).astype(np.float16), rng.normal(size=(3, 8)).astype(np.float32)
    excluded = rng.random(20_000) < 0.5
    scores, rows = search(vectors, queries, 7, excluded=excluded)
    products = np.where(excluded, -np.inf, queries @ vectors.astype(np.float32).T)
    assert_array_equal(rows, np.argsort(-products, axis=1)[:, :7])
    assert_allclose(scores, -np.sort(-products, axis=1)[:, :7], rtol=1e-6)


def test_exact_search_returns_what_there_is():
    scores, rows = search(np.eye(2, dtype=np.float32), np.ones((1, 2), np.float32), 4)
    assert rows.tolist() == [[0, 1, -1, -1]]
    assert np.isneginf(scores[0, 2:]).all()


def test_approximate_search_finds_the_same_item(corpus: Corpus, model_dir: Path, tmp_path: Path):
    pytest.importorskip("faiss", reason="needs faiss; install the extra faiss")
    build_index([corpus], tmp_path, model=model_dir, approximate=True)
    index = MediaIndex.open(tmp_path)
    assert [row[0].caption for row in index.search_texts(["a red square", "a blue square"], "image")] == [
        "a red square",
        "a blue square",
    ]
    view = index.without(lambda medium: medium.caption == "a red square")
    assert "a red square" not in [hit.caption for hit in view.search_texts(["a red square"], "image", k=9)[0]]


def test_approximate_search_without_faiss_is_refused(corpus: Corpus, model_dir: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(build, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="pip install 'nextgpt\\[faiss\\]'"):
        build_index([corpus], tmp_path, model=model_dir, approximate=True)


def test_words_without_a_text_tower_are_refused(index: MediaIndex):
    assert not index.has_words("image")
    with pytest.raises(ConfigError, match="cannot be searched by words"):
        index.search_words(["a red square"], "image")
