"""Texts in the space of an encoder without a text tower, by an encoder of their own in its folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from nextgpt.errors import ConfigError, ModelError
from nextgpt.model.component_hash import hash_encoder
from nextgpt.model.encoding import ImageBind, load_encoder, loading, save_encoder
from nextgpt.model.encoding.loading import TEXT_DIR, encoder_modalities


def without(encoder: ImageBind, *towers: str) -> ImageBind:
    config = encoder.config.model_copy(update=dict.fromkeys(towers))
    smaller = ImageBind(config, encoder.tokenizer if "text" not in towers else None)
    smaller.load_state_dict({name: encoder.state_dict()[name] for name in smaller.state_dict()})
    return smaller.eval()


@pytest.fixture
def folder(encoder: ImageBind, tmp_path: Path) -> Path:
    """An encoder of media whose texts are embedded by another one."""
    save_encoder(without(encoder, "text"), tmp_path / "encoder")
    save_encoder(without(encoder, "vision", "audio"), tmp_path / "encoder" / TEXT_DIR)
    return tmp_path / "encoder"


def test_texts_have_the_vectors_of_the_separate_tower(encoder: ImageBind, folder: Path) -> None:
    loaded = load_encoder(folder)
    assert loaded.modalities == encoder_modalities(folder) == encoder.modalities
    assert torch.equal(loaded.embed_text(["a red cat", "a"]), encoder.embed_text(["a red cat", "a"]))


def test_the_separate_tower_is_loaded_when_the_first_text_is_embedded(
    folder: Path, picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    original = loading.read_safetensors
    monkeypatch.setattr(loading, "read_safetensors", lambda path: read.append(path) or original(path))
    loaded = load_encoder(folder)
    loaded.encode([picture])
    loaded.embed_media([picture])
    assert read == [folder / "model.safetensors"]
    for _ in range(2):
        loaded.embed_text(["a cat"])
    assert read == [folder / "model.safetensors", folder / TEXT_DIR / "model.safetensors"]


def test_weights_of_media_are_saved_without_the_separate_tower(folder: Path, tmp_path: Path) -> None:
    loaded = load_encoder(folder)
    assert isinstance(loaded, ImageBind)
    loaded.embed_text(["a cat"])
    save_encoder(loaded, tmp_path / "copy")
    assert load_file(tmp_path / "copy" / "model.safetensors").keys() == load_file(folder / "model.safetensors").keys()


def test_an_encoder_without_any_text_tower_names_what_it_has(folder: Path, encoder: ImageBind) -> None:
    save_encoder(without(encoder, "text"), folder)  # other weights: the former tower does not fit any more
    assert not (folder / TEXT_DIR).exists()
    loaded = load_encoder(folder)
    assert loaded.modalities == encoder_modalities(folder) == ("image", "audio", "video")
    with pytest.raises(ModelError, match="no text tower; it has vision, audio"):
        loaded.embed_text(["a cat"])


def test_a_separate_tower_of_another_width_is_refused(encoder: ImageBind, folder: Path) -> None:
    config = encoder.config.model_copy(update={"width": 8, "vision": None, "audio": None})
    save_encoder(ImageBind(config, encoder.tokenizer), folder / TEXT_DIR)
    with pytest.raises(ConfigError, match="no text tower of width 16"):
        load_encoder(folder).embed_text(["a cat"])


def test_the_hash_of_media_features_does_not_depend_on_the_separate_tower(folder: Path) -> None:
    before = hash_encoder(folder)
    (folder / TEXT_DIR / "model.safetensors").write_bytes(b"other")
    assert hash_encoder(folder) == before
    (folder / "model.safetensors").write_bytes(b"other")
    assert hash_encoder(folder) != before


@pytest.mark.parametrize("features", ["pooled", "patches", "tokens"])
def test_the_vector_of_a_medium_is_that_of_the_class_token(encoder: ImageBind, features, picture, sound, film) -> None:
    other = ImageBind(encoder.config.model_copy(update={"features": features})).eval()
    other.load_state_dict(encoder.state_dict())
    vectors = other.embed_media([film, picture, sound])
    torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(3))
    expected = encoder.forward_modality("vision", encoder.preprocess(picture), scaled=False)
    torch.testing.assert_close(vectors[1:2], expected)
    assert other.embed_media([]).shape == (0, encoder.width)
