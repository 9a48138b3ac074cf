"""Folders are read lazily and strictly: what is missing or damaged is named, nothing is half loaded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.model.synthesis.families import Families, conditions_of, last_latents

from nextgpt.errors import ConfigError, ModelError, NextGPTError, WeightsError
from nextgpt.model.synthesis import SynthesisSettings, load_synthesizer, write_negative_condition, write_pipeline_dir
from nextgpt.model.synthesis.diffusers_io import read_index, read_settings


def test_opening_loads_nothing_and_each_part_comes_when_needed(families: Families):
    synthesizer = families.load(families.folder("nano image"))
    assert synthesizer.components.loaded_names == frozenset()
    last = last_latents(synthesizer, conditions_of(synthesizer, 1), seeds=[1])
    assert synthesizer.components.loaded_names == {"denoiser", "scheduler", "negative_condition"}
    synthesizer.decode(last)
    assert synthesizer.components.loaded_names == {"denoiser", "scheduler", "negative_condition", "autoencoder"}


def test_answers_need_no_text_encoder(families: Families, family: str, tmp_path: Path):
    folder = families.copy(family, tmp_path)
    shutil.rmtree(folder / "text_encoder")
    shutil.rmtree(folder / "tokenizer")
    synthesizer = families.load(folder, family)
    conditions = conditions_of(synthesizer, 1)
    expected = last_latents(families.open(family), conditions, seeds=[1])
    assert torch.equal(last_latents(synthesizer, conditions, seeds=[1]), expected)


def test_without_a_negative_condition_only_guidance_1_works(families: Families, tmp_path: Path):
    folder = families.copy("nano image", tmp_path)
    (folder / "negative_condition.safetensors").unlink()
    synthesizer = families.load(folder)
    conditions = conditions_of(synthesizer, 1)
    last_latents(synthesizer, conditions, seeds=[1], guidance_scale=1.0)
    with pytest.raises(ModelError, match="no negative condition"):
        synthesizer.denoise(conditions, seeds=[1], guidance_scale=1.5)


def test_a_negative_condition_of_another_model_is_refused(families: Families, tmp_path: Path):
    folder = families.copy("nano image", tmp_path)
    write_negative_condition(folder, torch.zeros(6, 15))
    synthesizer = families.load(folder)
    with pytest.raises(ModelError, match=r"\(6, 15\); expected \(6, 16\)"):
        synthesizer.denoise(conditions_of(synthesizer, 1), seeds=[1])


@pytest.mark.parametrize(
    "missing",
    ["model_index.json", "transformer/config.json", "transformer/diffusion_pytorch_model.safetensors",
     "vae/config.json", "scheduler/scheduler_config.json"],
)  # fmt: skip
def test_a_missing_file_is_named(families: Families, tmp_path: Path, missing: str):
    folder = families.copy("nano image", tmp_path)
    (folder / missing).unlink()
    with pytest.raises(ModelError, match=missing.removesuffix("/diffusion_pytorch_model.safetensors")):
        use(folder)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(ModelError, match="nowhere is missing"):
        load_synthesizer(tmp_path / "nowhere", "image")


@pytest.mark.parametrize("part", ["transformer", "vae"])
def test_a_weights_file_that_is_cut_off_is_named(families: Families, tmp_path: Path, part: str):
    folder = families.copy("nano image", tmp_path)
    path = folder / part / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsError, match=f"{part}/diffusion_pytorch_model.safetensors is damaged"):
        use(folder)


def test_a_damaged_negative_condition_is_named(families: Families, tmp_path: Path):
    folder = families.copy("nano image", tmp_path)
    (folder / "negative_condition.safetensors").write_bytes(b"nothing of use")
    with pytest.raises(WeightsError, match="negative_condition.safetensors is damaged"):
        use(folder)


@pytest.mark.parametrize("fault", ["missing", "of another shape"])
def test_weights_that_do_not_fit_their_config_are_named(families: Families, tmp_path: Path, fault: str):
    folder = families.copy("nano image", tmp_path)
    path = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(path)
    tensors.pop("proj_out.bias")
    if fault == "of another shape":
        tensors["proj_out.bias"] = torch.zeros(99)
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=r"(?s)transformer.*proj_out\.bias"):
        use(folder)


def test_pickles_are_not_read(families: Families, tmp_path: Path):
    folder = families.copy("nano image", tmp_path)
    path = folder / "vae" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(path), path.with_suffix(".bin"))
    path.unlink()
    with pytest.raises(ModelError, match=r"diffusion_pytorch_model\.bin; expected safetensors.*nextgpt convert"):
        use(folder)


def test_an_unknown_denoiser_is_refused_and_the_known_ones_named(families: Families, tmp_path: Path):
    folder = families.copy("nano image", tmp_path)
    index = json.loads((folder / "model_index.json").read_text())
    index["transformer"] = ["diffusers", "UNet2DConditionModl"]
    (folder / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match=r"UNet2DConditionModl.*CogVideoXTransformer3DModel.*Did you mean"):
        load_synthesizer(folder, "image")


@pytest.mark.parametrize("part", ["vae", "scheduler"])
def test_an_index_can_name_no_other_class_than_a_model(families: Families, tmp_path: Path, part: str):
    folder = families.copy("nano image", tmp_path)
    index = json.loads((folder / "model_index.json").read_text())
    index[part] = ["diffusers", "DiffusionPipeline"]
    (folder / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match="DiffusionPipeline"):
        use(folder)


@pytest.mark.parametrize("content", ["{", "[]", '{"stps": 3}', '{"num_inference_steps": 0}'])
def test_wrong_settings_are_named(families: Families, tmp_path: Path, content: str):
    folder = families.copy("nano image", tmp_path)
    (folder / "nextgpt.json").write_text(content)
    with pytest.raises(NextGPTError, match="nextgpt.json"):
        load_synthesizer(folder, "image")


def test_an_old_key_names_the_new_one(families: Families, tmp_path: Path):
    folder = families.copy("nano image", tmp_path)
    (folder / "nextgpt.json").write_text('{"steps": 6}')
    with pytest.raises(ConfigError, match="'steps' was renamed; expected 'num_inference_steps'"):
        load_synthesizer(folder, "image")


def test_an_unknown_modality_is_refused(families: Families):
    with pytest.raises(ModelError, match="'smell' is unknown; expected one of image, audio, video"):
        load_synthesizer(families.folder("nano image"), "smell")


def test_settings_and_index_come_back_as_written(tmp_path: Path):
    settings = SynthesisSettings(num_inference_steps=7, latent_shape=(4, 6, 8, 8), fps=12)
    write_pipeline_dir(tmp_path, settings=settings)
    assert read_settings(tmp_path) == settings
    assert read_index(tmp_path) == {}


def test_what_a_folder_leaves_unset_is_as_usual_for_its_kind(families: Families, tmp_path: Path):
    folder = families.copy("zeroscope", tmp_path)
    (folder / "nextgpt.json").write_text('{"latent_shape": [3, 4, 8, 8], "scheduler": null}')
    settings = families.load(folder, "zeroscope").settings
    assert (settings.num_inference_steps, settings.guidance_scale, settings.scheduler) == (25, 9.0, None)
    assert settings.latent_shape == (3, 4, 8, 8)


def test_writing_more_parts_keeps_those_that_are_there(families: Families, tmp_path: Path):
    folder = families.copy("nano image", tmp_path)
    before = read_index(folder)
    write_pipeline_dir(folder, {"scheduler": families.open("stable diffusion").components.scheduler})
    assert read_index(folder) == {**before, "scheduler": "DDIMScheduler"}


def use(folder: Path) -> None:
    """Go through the whole folder once."""
    synthesizer = load_synthesizer(folder, "image")
    synthesizer.decode(last_latents(synthesizer, conditions_of(synthesizer, 1), seeds=[1]))


def test_a_part_that_was_read_and_written_again_does_not_say_where_it_was_read(families: Families, tmp_path: Path):
    from diffusers import AutoencoderKL

    part = AutoencoderKL.from_pretrained(families.folder("stable diffusion") / "vae")
    assert str(families.folder("stable diffusion")) in str(part.config._name_or_path)
    write_pipeline_dir(tmp_path, {"vae": part})
    assert "_name_or_path" not in json.loads((tmp_path / "vae" / "config.json").read_text())
    assert AutoencoderKL.load_config(tmp_path / "vae")["in_channels"] == 3


def test_two_denoisers_are_refused(families: Families, tmp_path: Path):
    folder = families.copy("wan", tmp_path)
    index = json.loads((folder / "model_index.json").read_text())
    index["transformer_2"] = index["transformer"]
    (folder / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match=r"names two denoisers, transformer and transformer_2"):
        load_synthesizer(folder, "video")


def test_a_schedule_that_depends_on_the_pictures_size_is_refused(families: Families, tmp_path: Path):
    folder = families.copy("z-image", tmp_path)
    path = folder / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"use_dynamic_shifting": True}))
    with pytest.raises(ModelError, match="use_dynamic_shifting"):
        use(folder)


def test_a_constant_that_the_weights_lack_is_named(families: Families, tmp_path: Path):
    folder = families.copy("ace-step", tmp_path)
    path = folder / "condition_encoder" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(path)
    tensors.pop("silence_latent")
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(WeightsError, match="condition_encoder have no silence_latent"):
        last = families.load(folder, "ace-step")
        last_latents(last, conditions_of(last, 1), seeds=[1])
