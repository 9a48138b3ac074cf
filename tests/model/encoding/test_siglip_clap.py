"""SigLIP and CLAP as one encoder: what it gives is what transformers' own models give."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import normalize

from nextgpt.errors import ConfigError, ModelError, WeightsError
from nextgpt.message import Audio, Depth, Image, Video
from nextgpt.model.encoding import Encoder, SiglipClap, build_encoder, load_encoder
from nextgpt.model.summary import count_parameters
from nextgpt.testing.encoders import write_tiny_siglip_clap

RNG = np.random.default_rng(0)
PICTURE = Image(PIL.Image.fromarray(RNG.integers(0, 256, (24, 40, 3), dtype=np.uint8)))
FILM = Video(RNG.integers(0, 256, (9, 24, 40, 3), dtype=np.uint8), fps=3.0)
SOUND = Audio(RNG.normal(0, 0.1, (2, 6000)).astype(np.float32), 8000)
LONG = Audio(RNG.normal(0, 0.1, (1, 40_000)).astype(np.float32), 16_000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_siglip_clap(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def encoder(folder: Path) -> SiglipClap:
    return load_encoder(folder)


@pytest.fixture
def own(folder: Path, tmp_path: Path) -> Path:
    """A copy that a test may harm."""
    return Path(shutil.copytree(folder, tmp_path / "own"))


@torch.no_grad()
def test_what_it_sees_and_reads_is_what_siglip_sees_and_reads(encoder: SiglipClap, folder: Path):
    from transformers import AutoTokenizer, SiglipModel
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    assert isinstance(encoder, Encoder)
    model = SiglipModel.from_pretrained(folder / "vision").eval()
    pixels = SiglipImageProcessorPil.from_pretrained(folder / "vision")(PICTURE.image, return_tensors="pt")
    tokens = AutoTokenizer.from_pretrained(folder / "vision")(
        ["a cat"], padding="max_length", max_length=16, return_tensors="pt"
    )
    theirs = model(input_ids=tokens["input_ids"], **pixels)
    (seen,) = encoder.encode([PICTURE])
    assert seen.vectors.shape == (1, 32)
    torch.testing.assert_close(seen.vectors, theirs.image_embeds)
    torch.testing.assert_close(encoder.embed_text(["A cat"]), theirs.text_embeds)


@torch.no_grad()
def test_what_it_hears_is_what_clap_hears_filled_up_with_zeros(encoder: SiglipClap, folder: Path):
    from transformers import ClapFeatureExtractor, ClapModel

    model = ClapModel.from_pretrained(folder / "audio").eval()
    listen = ClapFeatureExtractor.from_pretrained(folder / "audio")
    given = listen(SOUND.samples.mean(axis=0), sampling_rate=8000, return_tensors="pt")
    theirs = normalize(model.get_audio_features(input_features=given["input_features"]).pooler_output, dim=-1)
    (heard,) = encoder.encode([SOUND])
    torch.testing.assert_close(heard.vectors[:, :16], theirs)
    assert not heard.vectors[:, 16:].any()


def test_a_film_has_a_vector_a_frame_and_a_long_sound_one_a_clip_the_same_each_time(encoder: SiglipClap):
    film, sound = encoder.encode([FILM, LONG])
    assert film.vectors.shape == (4, 32) and sound.vectors.shape == (3, 32)
    frames = encoder.encode([Image(PIL.Image.fromarray(FILM.frames[index])) for index in (0, 2, 5, 8)])
    torch.testing.assert_close(film.vectors, torch.cat([frame.vectors for frame in frames]), atol=1e-5, rtol=1e-4)
    assert torch.equal(encoder.encode([LONG])[0].vectors, sound.vectors)


def test_patches_are_as_many_as_each_part_has(tmp_path: Path):
    encoder = load_encoder(write_tiny_siglip_clap(tmp_path, features="patches"))
    picture, film, sound = encoder.encode([PICTURE, FILM, SOUND])
    assert picture.vectors.shape == (4, 32) and film.vectors.shape == (16, 32)
    assert len(sound.vectors) > 1 and sound.vectors.shape[1] == 32


def test_without_weights_it_has_the_same_sizes(encoder: SiglipClap, own: Path):
    for path in own.rglob("*.safetensors"):
        path.unlink()
    with torch.device("meta"):
        empty = build_encoder(own)
    assert {name: count_parameters(tower) for name, tower in empty.towers.items()} == {
        "vision": count_parameters(encoder.vision),
        "audio": count_parameters(encoder.audio),
    }


def test_media_that_neither_perceives_are_refused(encoder: SiglipClap):
    with pytest.raises(ModelError, match="does not support depth; it takes image, video, audio"):
        encoder.encode([Depth(np.ones((4, 4), dtype=np.float32))])


@pytest.mark.parametrize("missing", ["vision", "audio", "vision/preprocessor_config.json", "audio/config.json"])
def test_what_is_missing_is_named(own: Path, missing: str):
    path = own / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(ModelError, match=missing.partition("/")[0]) as caught:
        load_encoder(own)
    assert "\n" not in str(caught.value)


def test_weights_that_are_cut_off_or_incomplete_are_named(own: Path):
    path = own / "audio" / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-50])
    with pytest.raises(WeightsError, match="audio"):
        load_encoder(own)
    path.write_bytes(whole)
    tensors = load_file(path)
    tensors.pop("audio_projection.linear1.bias")
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=r"audio_projection\.linear1\.bias"):
        load_encoder(own)


@pytest.mark.parametrize("values", [{"kind": "siglip_klap"}, {"kind": "siglip_clap", "frames": 0}, [1]])
def test_impossible_settings_are_named(own: Path, values: object):
    (own / "config.json").write_text(json.dumps(values))
    with pytest.raises(ConfigError, match=r"config\.json(: encoder .siglip_klap. is unknown| has invalid settings)"):
        load_encoder(own)
