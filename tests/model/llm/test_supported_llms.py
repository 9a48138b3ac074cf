"""LLMs that cannot be used are refused in one line; windows of attention do not count empty places."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers

from nextgpt.cli.app import main
from nextgpt.errors import ConfigError, ModelError
from nextgpt.model.llm import loading
from nextgpt.model.llm.loading import load_language_model
from nextgpt.model.loading import check_device
from nextgpt.testing.tokenizer import tiny_tokenizer

SIZES = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 128,
}  # fmt: skip


def llm_folder(
    folder: Path, family: str, *, rows: int | None = None, has_weights: bool = True, **sizes: object
) -> Path:
    tokenizer = tiny_tokenizer()
    config = getattr(transformers, f"{family}Config")(vocab_size=rows or len(tokenizer), **sizes)
    torch.manual_seed(0)
    if has_weights:
        transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    else:
        config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(ModelError) as error:
        load_language_model(folder, template="chatml", soft_tokens=1)
    return str(error.value)


@pytest.mark.parametrize(
    ("family", "said"),
    [
        ("Mamba", "(MambaForCausalLM) has recurrent states"),
        ("Bloom", "(BloomForCausalLM)"),
        ("Mpt", "(MptForCausalLM)"),
        ("T5", "is of the type t5"),
        ("Bert", "(BertLMHeadModel) is an encoder"),
        ("XLMRoberta", "(XLMRobertaForCausalLM) is an encoder"),
        ("Electra", "(ElectraForCausalLM) is an encoder"),
    ],
)
def test_other_architectures_are_refused_in_one_line(family: str, said: str, tmp_path: Path) -> None:
    message = refusal(llm_folder(tmp_path, family, has_weights=False))
    assert said in message and "expected" in message and "\n" not in message


def test_an_architecture_without_hidden_states_of_its_own_is_refused(tmp_path: Path) -> None:
    sizes = SIZES | {"head_dim": 8, "num_local_experts": 2, "intermediate_size_mlp": 48}
    assert "has no part that returns hidden states" in refusal(llm_folder(tmp_path, "Llama4Text", **sizes))


def test_weights_that_are_quantized_already_are_refused(tmp_path: Path) -> None:
    llm_folder(tmp_path, "Llama", has_weights=False, **SIZES)
    values = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(
        json.dumps(values | {"quantization_config": {"quant_method": "gptq", "bits": 4}})
    )
    assert "has weights quantized by gptq" in refusal(tmp_path)


def test_a_tokenizer_with_more_tokens_than_embeddings_is_refused(tmp_path: Path) -> None:
    """The ids of signal tokens begin after the embeddings."""
    message = refusal(llm_folder(tmp_path, "Llama", rows=len(tiny_tokenizer()) - 1, **SIZES))
    assert "expected at most as many tokens" in message


def test_a_lack_of_memory_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory")

    llm_folder(tmp_path, "Llama", has_weights=False, **SIZES)
    monkeypatch.setattr(loading.AutoModelForCausalLM, "from_pretrained", fail)
    message = refusal(tmp_path)
    assert "does not fit into the memory" in message and "damaged" not in message


WINDOWED: dict[str, dict[str, object]] = {
    "Mistral": {"sliding_window": 16},
    "Gemma3Text": {"sliding_window": 16, "head_dim": 8, "pad_token_id": 0},
    "GPTNeo": {"window_size": 4, "attention_types": [[["global", "local"], 1]], "num_layers": 2, "num_heads": 4},
}  # fmt: skip
"""LLMs with layers that attend to near positions only."""


@torch.no_grad()
@pytest.mark.parametrize("family", WINDOWED)
def test_empty_places_do_not_move_the_window_of_attention(family: str, tmp_path: Path) -> None:
    """A neighbour that emits a video leaves 23 empty places; before, the window slid over them."""
    sizes = WINDOWED[family]
    llm = load_language_model(llm_folder(tmp_path, family, **SIZES | sizes), template="chatml", soft_tokens=1)
    assert llm.context_length == next(value for name, value in sizes.items() if name in loading._WINDOWS)
    embeddings = torch.randn(1, 12, llm.hidden_size)
    plain = llm.hidden_states(embeddings, torch.ones(1, 12, dtype=torch.bool), torch.arange(12)[None])
    spread = torch.cat([embeddings[:, :6], torch.zeros(1, 23, llm.hidden_size), embeddings[:, 6:]], dim=1)
    mask = torch.cat([torch.ones(1, 6), torch.zeros(1, 23), torch.ones(1, 6)], dim=1).bool()
    positions = torch.cat([torch.arange(6), torch.zeros(23), torch.arange(6, 12)]).long()[None]
    gapped = llm.hidden_states(spread, mask, positions)
    torch.testing.assert_close(gapped[:, -6:], plain[:, -6:], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("device", ["gpu", "0", "mps", "meta", "cuda:99", "cuda"])
def test_a_device_that_is_not_there_is_named_before_anything_is_loaded(device: str) -> None:
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ConfigError, match=rf"device '{device}' cannot be used \(.*\); expected one of cpu"):
        check_device(device)


def test_a_wrong_device_is_one_line_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chat", "nano", "--once", "hello", "--device", "gpu"]) == 2
    captured = capsys.readouterr()
    assert "device 'gpu' cannot be used" in captured.err and "Traceback" not in captured.err
