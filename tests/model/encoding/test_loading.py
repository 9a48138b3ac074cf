"""Encoders on disk: what is written comes back, and what is damaged is named."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from nextgpt.errors import ConfigError, ModelError, WeightsError
from nextgpt.model.encoding import load_encoder, save_encoder


@pytest.fixture
def folder(encoder, tmp_path):
    save_encoder(encoder, tmp_path / "encoder")
    return tmp_path / "encoder"


def test_a_saved_encoder_comes_back_bit_equal(encoder, folder, picture, sound, film):
    loaded = load_encoder(folder)
    assert loaded.config == encoder.config
    assert not loaded.training
    for one, other in zip(loaded.encode([picture, sound, film]), encoder.encode([picture, sound, film]), strict=True):
        assert torch.equal(one.vectors, other.vectors)
    assert torch.equal(loaded.embed_text(["a red cat"]), encoder.embed_text(["a red cat"]))


def test_weights_can_be_kept_in_16_bits(encoder, tmp_path, picture):
    save_encoder(encoder, tmp_path, dtype=torch.float16)
    assert {tensor.dtype for tensor in load_file(tmp_path / "model.safetensors").values()} == {torch.float16}
    loaded = load_encoder(tmp_path)
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    expected = encoder.encode([picture])[0].vectors
    torch.testing.assert_close(loaded.encode([picture])[0].vectors, expected, atol=1e-2, rtol=0)


def test_missing_unexpected_and_misshapen_weights_are_all_named(folder):
    path = folder / "model.safetensors"
    tensors = load_file(path)
    lost = "modality_heads.vision.2.weight"
    del tensors[lost]
    tensors["foreign.weight"] = torch.zeros(1)
    tensors["modality_preprocessors.text.pos_embed"] = torch.zeros(1, 3, 16)
    save_file(tensors, path)
    with pytest.raises(WeightsError) as caught:
        load_encoder(folder)
    for part in (f"1 missing: {lost}", "1 unexpected: foreign.weight", "pos_embed (1, 3, 16) instead of (1, 6, 16)"):
        assert part in str(caught.value)


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"\xff" * 100])
def test_a_damaged_weights_file_is_named(folder, damage):
    path = folder / "model.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(WeightsError, match="model.safetensors is damaged"):
        load_encoder(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(ModelError, match=f"{name} is missing"):
        load_encoder(folder)


def test_an_unknown_setting_is_named(folder):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"widht": 3}))
    with pytest.raises(ConfigError, match="widht"):
        load_encoder(folder)


def test_a_damaged_config_is_named(folder):
    (folder / "config.json").write_text("{")
    with pytest.raises(ConfigError, match="config.json has invalid settings"):
        load_encoder(folder)


def test_a_damaged_tokenizer_is_named(folder):
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(ModelError, match="tokenizer.json is damaged"):
        load_encoder(folder)
