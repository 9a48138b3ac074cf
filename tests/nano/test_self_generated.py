"""Media that a model made itself: kept where they show what they should, and learned from beside true renderings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nextgpt.message import Audio, Image, Video
from nextgpt.miniworld.render import render
from nextgpt.miniworld.sample_specs import sample_scene
from nextgpt.miniworld.specs import ObjectSpec, SceneSpec, SoundSpec
from nextgpt.miniworld.splits import is_held_out
from nextgpt.model.model_dir import BUILTIN_MODELS
from nextgpt.nano import self_generated as module
from nextgpt.nano.self_generated import SelfGeneratedConfig, SelfGeneratedMedia, load_or_generate
from nextgpt.testing.scripted_model import tiny_image

SYNTHESIZERS = {name: BUILTIN_MODELS["nano"] / name for name in ("image", "audio", "video")}
COUNTS = {"image": 6, "audio": 4, "video": 4}
CONFIG = SelfGeneratedConfig(counts=COUNTS, share=0.5)
MEDIA_TYPES = {"image": Image, "audio": Audio, "video": Video}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("own")


@pytest.fixture(scope="module")
def made(folder: Path) -> SelfGeneratedMedia:
    return load_or_generate(CONFIG, SYNTHESIZERS, folder)


def test_the_embedded_model_makes_media_of_the_training_split_near_what_they_should_be(
    made: SelfGeneratedMedia,
) -> None:
    assert set(made.media) == set(COUNTS)
    for modality, of in made.media.items():
        assert 0 < len(of) <= COUNTS[modality]
        assert not [content for content in of if is_held_out(content)]
        assert all(isinstance(medium, MEDIA_TYPES[modality]) for medium in of.values())
    content, medium = next(iter(made.media["image"].items()))
    small = medium.image.reduce(medium.image.width // 64)
    far = np.abs(np.asarray(small).astype(float) - np.asarray(render(content).image)).mean()
    assert 0 < far < 20  # of 255: no true rendering, and no other picture


def test_what_was_made_is_read_again_and_made_anew_by_other_weights(
    made: SelfGeneratedMedia, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_generate", lambda *_: pytest.fail("it was made again"))
    again = load_or_generate(CONFIG, SYNTHESIZERS, folder)
    for modality, of in made.media.items():
        assert list(again.media[modality]) == list(of)
    for mine, other in zip(made.media["audio"].values(), again.media["audio"].values(), strict=True):
        assert np.array_equal(mine.samples, other.samples)
    monkeypatch.setattr(module, "_fingerprint", lambda *_: "other weights")
    with pytest.raises(pytest.fail.Exception, match="made again"):
        load_or_generate(CONFIG, SYNTHESIZERS, folder)


def test_what_shows_something_else_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "recognize_media", lambda media: [SceneSpec((ObjectSpec("cat"),), "sea")] * len(media))
    config = SelfGeneratedConfig(counts={"image": 3}, share=0.5)
    assert load_or_generate(config, SYNTHESIZERS, tmp_path).media == {"image": {}}
    assert load_or_generate(config, SYNTHESIZERS, tmp_path).media == {"image": {}}  # read again, it is as empty


def test_contents_and_media_come_in_their_shares() -> None:
    content, own = SceneSpec((ObjectSpec("dog"),), "sea"), tiny_image()
    media = SelfGeneratedMedia(0.25, {"image": {content: own}, "audio": {}})
    rng = np.random.default_rng(0)
    drawn = [media.sample_spec(rng, "image", lambda: sample_scene(rng)) for _ in range(400)]
    assert 60 < drawn.count(content) < 140
    shown = [media.medium(rng, content) for _ in range(400)]
    assert 150 < sum(medium is own for medium in shown) < 250
    sound = SoundSpec("flute")
    assert media.sample_spec(rng, "audio", lambda: sound) == sound
    # True sounds are one object each, so that what is computed of them is kept.
    assert media.medium(rng, sound) is media.medium(rng, sound)


def test_without_any_nothing_is_drawn_from_chance() -> None:
    rng, same = np.random.default_rng(0), np.random.default_rng(0)
    content = SceneSpec((ObjectSpec("dog"),), "sea")
    assert load_or_generate(None, {}, Path()).sample_spec(rng, "image", lambda: content) == content
    assert np.array_equal(
        np.asarray(SelfGeneratedMedia().medium(rng, content).image), np.asarray(render(content).image)
    )
    assert rng.random() == same.random()


def test_an_empty_file_is_of_no_shape_that_matters(tmp_path: Path) -> None:
    file = tmp_path / "image.safetensors"
    module.save_file({"indices": torch.tensor([], dtype=torch.int64), "media": torch.empty(0)}, file)
    assert module._read(file, "image") == {}
