"""The embedded models' text tower: words find rendered media, in an index and over the API."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nextgpt.config import read_config
from nextgpt.data.build.scoring import score_captions
from nextgpt.data.corpus import read_corpus
from nextgpt.data.index import MediaIndex
from nextgpt.data.index.build import build_index
from nextgpt.data.record import CaptionPair, MediaFile
from nextgpt.data.writers import write_jsonl
from nextgpt.errors import ConfigError
from nextgpt.miniworld.language import canonical_caption
from nextgpt.miniworld.render import render
from nextgpt.miniworld.specs import ClipSpec, MediaSpec, ObjectSpec, SceneSpec, SoundSpec
from nextgpt.model.encoding import Encoder, load_encoder
from nextgpt.model.encoding.loading import TEXT_DIR, encoder_modalities
from nextgpt.model.hub import resolve_component_dir
from nextgpt.model.model_dir import resolve_model_dir
from nextgpt.serve.engine.embedding import embed

SPECS: dict[str, dict[str, MediaSpec]] = {
    "image": {
        "a red cat": SceneSpec((ObjectSpec("cat", "red"),)),
        "show me a dog on the grass please": SceneSpec((ObjectSpec("dog"),), "grass"),
        "a blue bicycle at night": SceneSpec((ObjectSpec("bicycle", "blue"),), "night"),
        "an apple and a banana": SceneSpec(
            (ObjectSpec("apple", place="left", size="small"), ObjectSpec("banana", place="right", size="small"))
        ),
    },
    "audio": {
        "a high flute": SoundSpec("flute", "high"),
        "play a deep cello for me": SoundSpec("cello", "low"),
        "a bird singing": SoundSpec("bird"),
        "a piano chord": SoundSpec("piano", "middle", "chord"),
    },
    "video": {
        "a green fish moving left": ClipSpec("fish", "green", motion="left"),
        "a spinning star": ClipSpec("star", motion="spin"),
        "a clip of a rabbit that jumps up and down": ClipSpec("rabbit", motion="bounce"),
        "a car going right": ClipSpec("car", motion="right"),
    },
}
"""Words and what they describe."""
SUFFIXES = {"image": "png", "audio": "wav", "video": "mp4"}


def encoder_dir(model: str) -> Path:
    folder = resolve_model_dir(model)
    return resolve_component_dir(read_config(folder).encoder, folder)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_encoder(encoder_dir("nano"))


@pytest.mark.parametrize("model", ["nano", "small"])
def test_the_embedded_models_embed_words(model: str) -> None:
    assert encoder_modalities(encoder_dir(model)) == ("text", "image", "audio", "video")


def test_the_tower_is_small() -> None:
    weights = encoder_dir("nano") / TEXT_DIR / "model.safetensors"
    assert weights.stat().st_size <= 2 * 2**20


@pytest.mark.parametrize("modality", list(SPECS))
def test_words_and_media_that_mean_the_same_are_nearest(encoder: Encoder, modality: str) -> None:
    words, media = list(SPECS[modality]), [render(spec) for spec in SPECS[modality].values()]
    vectors = np.array(embed(encoder, [*words, *media]))
    similarities = vectors[: len(words)] @ vectors[len(words) :].T
    assert similarities.argmax(axis=1).tolist() == list(range(len(words)))
    scores = score_captions(encoder, media, words)
    assert scores == pytest.approx(similarities.diagonal().tolist(), abs=1e-5)


def test_an_index_is_searched_by_words(tmp_path: Path) -> None:
    pairs = []
    for modality, specs in SPECS.items():
        for number, spec in enumerate(specs.values()):
            path = render(spec).save(tmp_path / f"{modality}-{number}.{SUFFIXES[modality]}")
            pairs.append(CaptionPair(path.stem, MediaFile(modality, path, caption=canonical_caption(spec))))
    write_jsonl(pairs, tmp_path / "corpus.jsonl")
    build_index([read_corpus(tmp_path / "corpus.jsonl")], tmp_path / "index")
    index = MediaIndex.open(tmp_path / "index")
    for modality, specs in SPECS.items():
        found = [hits[0] for hits in index.search_words(list(specs), modality, k=1)]
        assert [hit.caption for hit in found] == [canonical_caption(spec) for spec in specs.values()]
    manifest = tmp_path / "index" / "manifest.json"
    manifest.write_text(manifest.read_text().replace(index.manifest.components["words"], "0"))
    with pytest.raises(ConfigError, match="another words"):
        MediaIndex.open(tmp_path / "index").search_words(["a red cat"], "image")
