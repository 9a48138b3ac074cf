"""Folders of pickles become folders of safetensors, and Vicuna's difference is added to LLaMA."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file
from tests.model.synthesis.families import write_tiny_zeroscope
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from nextgpt.cli.app import main
from nextgpt.convert import convert_folder, convert_vicuna
from nextgpt.errors import ModelError, WeightsError
from nextgpt.model.synthesis import load_synthesizer


def as_pickles(folder):
    """What transformers and diffusers wrote before there was safetensors."""
    for path in list(folder.rglob("*.safetensors")):
        if path.name != "negative_condition.safetensors":
            is_diffusers = path.name.startswith("diffusion")
            name = "diffusion_pytorch_model.bin" if is_diffusers else "pytorch_model.bin"
            torch.save(load_file(path), path.with_name(name))
            path.unlink()
    return folder


def llama(folder, seed=0, rows=20):
    torch.manual_seed(seed)
    config = LlamaConfig(vocab_size=rows, hidden_size=8, intermediate_size=8, num_hidden_layers=2,
                         num_attention_heads=2, num_key_value_heads=2)  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def test_a_diffusers_folder_of_pickles_is_read_after_conversion(tmp_path):
    written = write_tiny_zeroscope(tmp_path / "safe")
    as_pickles(shutil.copytree(written, tmp_path / "pickled"))
    converted = convert_folder(tmp_path / "pickled", tmp_path / "converted")
    assert converted == [
        "text_encoder/pytorch_model.bin", "unet/diffusion_pytorch_model.bin", "vae/diffusion_pytorch_model.bin"
    ]  # fmt: skip
    ours = load_synthesizer(tmp_path / "converted", "video").components.denoiser.state_dict()
    theirs = load_synthesizer(written, "video").components.denoiser.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


def test_the_condition_of_the_empty_caption_is_kept_beside_a_synthesizer(tmp_path):
    folder = write_tiny_zeroscope(tmp_path / "video")
    (folder / "negative_condition.safetensors").unlink()
    assert main(["convert", "negative", str(folder)]) == 0
    synthesizer = load_synthesizer(folder, "video")
    assert synthesizer.components.negative_condition.shape == synthesizer.condition_shape


def test_an_llm_in_several_pickles_keeps_its_parts_and_loses_old_buffers(tmp_path):
    source = llama(tmp_path / "llm")
    tensors = load_file(source / "model.safetensors")
    (source / "model.safetensors").unlink()
    names = sorted(tensors)
    halves = {"pytorch_model-00001-of-00002.bin": names[:5], "pytorch_model-00002-of-00002.bin": names[5:]}
    for file, held in halves.items():
        buffers = {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(2)} if "00001" in file else {}
        torch.save({name: tensors[name] for name in held} | buffers, source / file)
    weight_map = {name: file for file, held in halves.items() for name in held}
    (source / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    convert_folder(source, tmp_path / "converted")
    assert len(list((tmp_path / "converted").glob("*.safetensors"))) == 2
    model, report = AutoModelForCausalLM.from_pretrained(tmp_path / "converted", output_loading_info=True)
    assert not any(report.values())
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in model.state_dict().items())


def test_a_folder_without_pickles_is_refused(tmp_path):
    (tmp_path / "source").mkdir()
    with pytest.raises(ModelError, match=r"source has no weights to convert; expected files that end with \.bin"):
        convert_folder(tmp_path / "source", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_bad_pickle_leaves_no_folder(tmp_path, capsys):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "pytorch_model.bin").write_bytes(b"PK\x03\x04 cut off")
    assert main(["convert", "folder", str(tmp_path / "source"), str(tmp_path / "converted")]) == 2
    assert "is damaged" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_the_delta_is_added_and_its_padding_row_is_left_out(tmp_path):
    base, delta = llama(tmp_path / "base", 0), llama(tmp_path / "delta", 1, rows=21)
    as_pickles(delta)
    assert convert_vicuna(base, delta, tmp_path / "vicuna") == 21
    ours, first = load_file(tmp_path / "vicuna" / "model.safetensors"), load_file(base / "model.safetensors")
    second = torch.load(delta / "pytorch_model.bin", weights_only=True)
    assert ours.keys() == first.keys()
    assert all(torch.equal(ours[name], first[name] + second[name][: len(first[name])]) for name in ours)
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "vicuna").config.vocab_size == 20


def test_a_delta_of_another_llama_is_refused_and_nothing_is_written(tmp_path):
    base, delta = llama(tmp_path / "base"), llama(tmp_path / "delta")
    tensors = load_file(delta / "model.safetensors")
    del tensors["model.norm.weight"]
    torch.save(tensors, delta / "pytorch_model.bin")
    (delta / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"does not fit .*base. Missing: model.norm.weight"):
        convert_vicuna(base, delta, tmp_path / "vicuna")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base", "delta"]
