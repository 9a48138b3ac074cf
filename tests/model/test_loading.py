"""Models on disk: what is saved comes back, and what is damaged is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from nextgpt.config import LoraConfig
from nextgpt.errors import ConfigError, ModelError, WeightsError
from nextgpt.message import Audio, Medium, Sampling, Video
from nextgpt.model.model_dir import BUILTIN_MODELS, resolve_model_dir
from nextgpt.model.nextgpt import NextGPT
from nextgpt.model.trained_weights import load_trained, save_trained, trained_state_dict
from nextgpt.testing.model import write_tiny_model
from nextgpt.testing.scripted_model import tiny_image


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def copy(tiny, tmp_path) -> Path:
    return Path(shutil.copytree(tiny, tmp_path / "copy"))


def hear(model: NextGPT) -> torch.Tensor:
    ids = [1, 2, model.llm.signals.vocabulary.edit]
    with torch.no_grad():
        embeddings = model.llm.embed_ids(ids)[None]
        return model.llm.hidden_states(embeddings, torch.ones(1, 3, dtype=torch.bool), torch.arange(3)[None])


def content(medium: Medium) -> np.ndarray:
    """Pixels or samples as numbers from 0 or -1 to 1."""
    if isinstance(medium, Audio):
        return medium.samples
    pixels = medium.frames if isinstance(medium, Video) else np.asarray(medium.image)
    return pixels.astype(np.float32) / 255


def test_a_model_answers_with_all_modalities_after_it_was_saved_and_loaded(tiny, tmp_path):
    model = NextGPT.from_pretrained(tiny)
    model.save_pretrained(tmp_path / "again")
    again = NextGPT.from_pretrained(tmp_path / "again")
    before, after = trained_state_dict(model), trained_state_dict(again)
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    for modality in ("image", "audio", "video"):
        # Only this modality may be said, and nothing else is: the random LLM has to make one.
        sampling = Sampling(modalities=(modality,), max_tokens=24, seed=4, num_inference_steps=2)
        one, other = (each.chat(["draw", tiny_image()], sampling) for each in (model, again))
        assert [part.modality for part in one.parts] == [part.modality for part in other.parts]
        assert {part.modality for part in one.parts} == {modality}
        for made, same in zip(one.parts, other.parts, strict=True):
            # Sums may be taken in another order where tensors lie elsewhere in memory: one level of 8 bits.
            np.testing.assert_allclose(content(made), content(same), rtol=0, atol=1.5 / 255)
    assert sorted(path.name for path in (tmp_path / "again").iterdir()) == [
        "audio", "config.json", "encoder", "image", "llm", "nextgpt.safetensors", "video",
    ]  # fmt: skip


def test_parts_are_loaded_when_they_are_needed(tiny):
    model = NextGPT.from_pretrained(tiny)
    model.chat("hello", Sampling(max_tokens=2, modalities=("text",)))
    assert {name: part.is_loaded for name, part in model.components.items()} == {
        "encoder": False, "llm": True, "image": False, "audio": False, "video": False,
    }  # fmt: skip


def test_only_what_is_trained_is_stored_and_in_the_dtype_asked_for(tiny, tmp_path):
    model = NextGPT.from_pretrained(tiny)
    save_trained(model, tmp_path / "half.safetensors", dtype=torch.bfloat16)
    stored = load_file(tmp_path / "half.safetensors")
    assert {name.split(".")[0] for name in stored} == {"signals", "input_projection", "output_projections"}
    assert {tensor.dtype for tensor in stored.values()} == {torch.bfloat16}


def test_lora_is_merged_to_answer_stays_apart_to_be_trained_and_survives_saving(copy, tmp_path):
    model = NextGPT.from_pretrained(copy)
    plain = hear(model)
    model.add_lora(LoraConfig(rank=2, alpha=4, dropout=0.0))
    for name, parameter in model.llm.transformer.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(tmp_path / "adapted")
    merged = NextGPT.from_pretrained(tmp_path / "adapted")
    assert not any("lora_" in name for name, _ in merged.named_parameters())
    torch.testing.assert_close(hear(merged), hear(model), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(hear(merged), plain)
    merged.save_pretrained(tmp_path / "again")
    first, second = (load_file(tmp_path / name / "nextgpt.safetensors") for name in ("adapted", "again"))
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
    assert (tmp_path / "again/llm/model.safetensors").read_bytes() == (copy / "llm/model.safetensors").read_bytes()


def test_training_can_go_on_from_what_was_saved(copy, tmp_path):
    from nextgpt.config import read_config
    from nextgpt.model.nextgpt import NextGPT

    model = NextGPT.from_pretrained(copy)
    model.add_lora(LoraConfig(rank=2, alpha=4))
    model.save_pretrained(tmp_path / "stage")
    again = NextGPT.from_config(read_config(tmp_path / "stage"), tmp_path / "stage")
    load_trained(again, tmp_path / "stage/nextgpt.safetensors", merge_lora=False)
    assert any(".lora_A" in name for name, _ in again.named_parameters())
    before, after = trained_state_dict(model), trained_state_dict(again)
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)


def test_an_unknown_name_tells_what_is_known():
    with pytest.raises(ModelError, match="'nan' is unknown.*Did you mean 'nano'"):
        resolve_model_dir("nan")
    assert resolve_model_dir("nano") == BUILTIN_MODELS["nano"]


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    with pytest.raises(ModelError, match="no config.json"):
        NextGPT.from_pretrained(tmp_path)


def test_a_config_that_is_no_json_is_refused(copy):
    (copy / "config.json").write_bytes(b"\x80{")
    with pytest.raises(ModelError, match="config.json is no valid JSON"):
        NextGPT.from_pretrained(copy)


def test_an_unknown_key_of_the_config_names_the_nearest(copy):
    values = json.loads((copy / "config.json").read_text())
    values["llm"]["templat"] = "nano"
    (copy / "config.json").write_text(json.dumps(values))
    with pytest.raises(ConfigError, match=r"'llm.templat' is unknown.*Did you mean 'llm.template'"):
        NextGPT.from_pretrained(copy)


def test_a_missing_part_is_named(copy):
    shutil.rmtree(copy / "llm")
    with pytest.raises(ModelError, match=r"llm is missing; config.json in .* names it"):
        NextGPT.from_pretrained(copy)


@pytest.mark.parametrize("file", ["nextgpt.safetensors", "llm/model.safetensors"])
def test_a_damaged_weights_file_is_named(copy, file):
    whole = (copy / file).read_bytes()
    (copy / file).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match=str(Path(file).parts[0])):
        NextGPT.from_pretrained(copy)


def test_missing_weights_are_named(copy):
    (copy / "nextgpt.safetensors").unlink()
    with pytest.raises(WeightsError, match="nextgpt.safetensors is missing"):
        NextGPT.from_pretrained(copy)


def test_every_tensor_that_does_not_fit_is_named(copy):
    path = copy / "nextgpt.safetensors"
    tensors = load_file(path)
    tensors["llama_proj.weight"] = tensors.pop("signals.input")
    tensors["input_projection.layers.shared.bias"] = torch.zeros(3)
    save_file(tensors, path)
    with pytest.raises(WeightsError) as caught:
        NextGPT.from_pretrained(copy)
    message = str(caught.value)
    assert "missing: signals.input" in message
    assert "unexpected: llama_proj.weight" in message
    assert "input_projection.layers.shared.bias (3,) instead of (64,)" in message


def test_an_llm_of_another_width_is_told_in_one_line(copy):
    from transformers import AutoConfig, LlamaForCausalLM

    config = AutoConfig.from_pretrained(copy / "llm")
    config.hidden_size, config.head_dim = 48, 12
    LlamaForCausalLM(config).save_pretrained(copy / "llm")
    with pytest.raises(
        WeightsError, match=r"trained with an LLM of hidden size 32; config.json names one of 48. Name the LLM"
    ):
        NextGPT.from_pretrained(copy)


def test_missing_and_unexpected_weights_of_the_llm_are_named(copy):
    path = copy / "llm/model.safetensors"
    tensors = load_file(path)
    tensors["model.extra"] = tensors.pop("model.norm.weight")
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=r"model\.norm\.weight"):
        NextGPT.from_pretrained(copy)


def test_a_config_and_weights_that_disagree_about_lora_are_refused(copy):
    values = json.loads((copy / "config.json").read_text())
    values["llm"]["lora"] = {}
    (copy / "config.json").write_text(json.dumps(values))
    with pytest.raises(WeightsError, match="names LoRA, but .* has none"):
        NextGPT.from_pretrained(copy)
