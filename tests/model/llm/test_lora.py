"""LoRA: trained by peft, merged without it, and the same model either way."""

from __future__ import annotations

import pytest
import torch

from nextgpt.errors import WeightsError
from nextgpt.model.llm import lora
from nextgpt.testing.language_model import tiny_language_model

SETTINGS = {"rank": 2, "alpha": 6.0, "dropout": 0.0, "targets": ("q_proj", "v_proj")}


def hear(llm, ids=(1, 2, 3)) -> torch.Tensor:
    with torch.no_grad():
        return llm.hidden_states(
            llm.embed_ids(list(ids))[None], torch.ones(1, len(ids), dtype=torch.bool), torch.arange(len(ids))[None]
        )


@pytest.fixture
def trained():
    """An LLM whose adapters learned something."""
    llm = tiny_language_model()
    llm.add_lora(**SETTINGS)
    for name, parameter in llm.transformer.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    return llm


def test_fresh_adapters_change_nothing_and_are_all_that_is_trained():
    llm = tiny_language_model()
    before = hear(llm)
    llm.add_lora(**SETTINGS)
    torch.testing.assert_close(hear(llm), before)
    trainable = {name for name, parameter in llm.transformer.named_parameters() if parameter.requires_grad}
    assert len(trainable) == 2 * 2 * 2 and all(".lora_" in name for name in trainable)


def test_merged_adapters_answer_as_trained_ones_do(trained):
    merged = tiny_language_model()
    before = hear(merged)
    merged.merge_lora(lora.adapter_state_dict(trained.transformer), alpha=6.0, rank=2)
    assert not torch.allclose(hear(merged), before)
    torch.testing.assert_close(hear(merged), hear(trained), rtol=1e-4, atol=1e-4)


def test_adapters_can_be_trained_on(trained):
    again = tiny_language_model()
    again.add_lora(**SETTINGS, adapters=lora.adapter_state_dict(trained.transformer))
    torch.testing.assert_close(hear(again), hear(trained))


def test_adapters_of_another_llm_are_refused_by_name(trained):
    adapters = lora.adapter_state_dict(trained.transformer)
    adapters["model.layers.9.self_attn.q_proj.A"] = adapters.pop("model.layers.0.self_attn.q_proj.A")
    with pytest.raises(WeightsError, match=r"layers\.0\.self_attn\.q_proj.*|layers\.9\.self_attn\.q_proj"):
        tiny_language_model().merge_lora(adapters, alpha=6.0, rank=2)
    with pytest.raises(WeightsError, match=r"Missing: .*layers\.0.*Unexpected: .*layers\.9"):
        tiny_language_model().add_lora(**SETTINGS, adapters=adapters)


def test_blocks_before_the_first_layer_have_no_adapters():
    llm = tiny_language_model()
    llm.add_lora(**SETTINGS, first_layer=1)
    blocks = {name.split(".")[2] for name in lora.adapter_state_dict(llm.transformer)}
    assert blocks == {"1"}


def output_and_gradients(*, autocast: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Return states of an adapted LLM, and the gradients of inputs and adapters side by side."""
    llm = tiny_language_model()
    llm.add_lora(**SETTINGS)
    adapters = [parameter for name, parameter in llm.transformer.named_parameters() if ".lora_" in name]
    torch.manual_seed(1)
    for parameter in adapters:
        torch.nn.init.normal_(parameter, std=0.3)
    embeddings = llm.embed_ids([1, 2, 3, 4, 5, 6])[None].clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        states = llm.hidden_states(embeddings, torch.ones(1, 6, dtype=torch.bool), torch.arange(6)[None])
    (states.float() * torch.linspace(-1, 1, states.shape[-1])).sum().backward()
    gradients = [parameter.grad.flatten() for parameter in (embeddings, *adapters) if parameter.grad is not None]
    assert len(gradients) == 1 + len(adapters)
    return states.detach().float(), torch.cat(gradients)


def relative_error(actual: torch.Tensor, expected: torch.Tensor) -> float:
    return float((actual - expected).norm() / expected.norm())


def test_adapted_layers_compute_what_peft_does(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, ours_rounded = output_and_gradients(), output_and_gradients(autocast=True)
    monkeypatch.setattr(lora, "use_lora_function", lambda transformer: None)
    peft, peft_rounded = output_and_gradients(), output_and_gradients(autocast=True)
    for actual, rounded, expected, expected_rounded in zip(ours, ours_rounded, peft, peft_rounded, strict=True):
        assert relative_error(actual, expected) < 1e-5
        assert relative_error(rounded, expected) < 2 * relative_error(expected_rounded, expected)
    assert not torch.equal(ours_rounded[0], peft_rounded[0])  # the order of roundings differs: ours did run


def test_layers_with_dropout_stay_those_of_peft() -> None:
    llm = tiny_language_model()
    llm.add_lora(**{**SETTINGS, "dropout": 0.5})
    layers = [m for m in llm.transformer.modules() if hasattr(m, "lora_A")]
    assert layers and not any("forward" in vars(layer) for layer in layers)
