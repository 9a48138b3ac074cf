"""The text encoder of a folder, for training targets and the cascade."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from tests.model.synthesis.families import Families

from nextgpt.errors import ModelError
from nextgpt.model.synthesis.prompt_encoder import PromptEncoder, add_negative_condition


def test_conditions_have_the_shape_that_the_denoiser_takes(families: Families, family: str):
    conditions = PromptEncoder(families.folder(family)).encode(["a cat", "", "a dog " * 100])
    assert conditions.shape == (3, *families.open(family).condition_shape)


def test_stable_diffusion_conditions_are_those_of_its_pipeline(families: Families):
    from diffusers import StableDiffusionPipeline

    conditioner = PromptEncoder(families.folder("stable diffusion"))
    parts = families.open("stable diffusion").components
    conditioner.tokenizer.model_max_length = 77
    pipeline = StableDiffusionPipeline(
        text_encoder=conditioner.text_encoder,
        tokenizer=conditioner.tokenizer,
        unet=parts.denoiser,
        vae=parts.autoencoder.autoencoder,
        scheduler=parts.scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    expected, _ = pipeline.encode_prompt("a cat", "cpu", 1, do_classifier_free_guidance=False)
    torch.testing.assert_close(conditioner.encode(["a cat"]), expected)


def test_audioldm_conditions_are_one_vector_of_unit_length(families: Families):
    conditions = PromptEncoder(families.folder("audioldm")).encode(["rain", "a bell"])
    torch.testing.assert_close(conditions.norm(dim=-1), torch.ones(2, 1))


def test_a_caption_has_the_same_condition_alone_and_in_a_batch(families: Families, family: str):
    conditioner = PromptEncoder(families.folder(family))
    together = conditioner.encode(["a cat", "three red stars"])
    torch.testing.assert_close(together[:1], conditioner.encode(["a cat"]), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(together[0], together[1])


def test_a_folder_without_text_encoder_says_so(families: Families, tmp_path: Path):
    folder = families.copy("nano image", tmp_path)
    shutil.rmtree(folder / "text_encoder")
    with pytest.raises(ModelError, match="text_encoder"):
        PromptEncoder(folder).encode(["a cat"])
    shutil.rmtree(folder / "tokenizer")
    with pytest.raises(ModelError, match="tokenizer"):
        _ = PromptEncoder(folder).tokenizer


def test_the_negative_condition_is_that_of_the_empty_caption(families: Families, family: str, tmp_path: Path):
    folder = families.copy(family, tmp_path)
    (folder / "negative_condition.safetensors").unlink()
    add_negative_condition(folder)
    torch.testing.assert_close(
        families.load(folder, family).components.negative_condition, PromptEncoder(folder).encode([""])[0]
    )


def test_z_image_conditions_are_those_of_its_pipeline_and_padding_is_zeros(families: Families):
    from diffusers import ZImagePipeline

    conditioner = PromptEncoder(families.folder("z-image"))
    parts = families.open("z-image").components
    pipeline = ZImagePipeline(
        text_encoder=conditioner.text_encoder,
        tokenizer=conditioner.tokenizer,
        transformer=parts.denoiser,
        vae=parts.autoencoder.autoencoder,
        scheduler=parts.scheduler,
    )
    (expected,), _ = pipeline.encode_prompt(["a cat"], "cpu", False)
    condition = conditioner.encode(["a cat"])[0]
    torch.testing.assert_close(condition[: len(expected)], expected)
    assert 0 < len(expected) < len(condition) and not condition[len(expected) :].any()


def test_wan_conditions_are_those_of_its_pipeline(families: Families):
    from diffusers import WanPipeline

    conditioner = PromptEncoder(families.folder("wan"))
    parts = families.open("wan").components
    pipeline = WanPipeline(
        text_encoder=conditioner.text_encoder,
        tokenizer=conditioner.tokenizer,
        transformer=parts.denoiser,
        vae=parts.autoencoder.autoencoder,
        scheduler=parts.scheduler,
    )
    expected, _ = pipeline.encode_prompt(
        ["a cat", ""], do_classifier_free_guidance=False, max_sequence_length=24, device="cpu"
    )
    torch.testing.assert_close(conditioner.encode(["a cat", ""]), expected)
