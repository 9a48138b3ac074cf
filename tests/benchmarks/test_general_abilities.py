"""A model that was not tuned agrees with its frozen LLM; adapters and signal tokens that win show in the figures."""

from __future__ import annotations

import math
import re
from pathlib import Path

import torch
from benchmarks.general_abilities import PROMPTS, measure

from nextgpt.config import LoraConfig
from nextgpt.model.nextgpt import NextGPT
from nextgpt.testing.model import write_tiny_model

GENERAL = ["hello", "what is a cat?", "why?"]


def test_an_untuned_model_agrees_with_its_frozen_llm(tmp_path: Path) -> None:
    result = measure(str(write_tiny_model(tmp_path / "tiny")), GENERAL, max_tokens=6)
    assert result.prompts == 3 and result.tokens >= 3
    assert result.agreement == 1
    assert math.isclose(result.perplexity, result.perplexity_of_frozen, rel_tol=0.2)


def test_a_tuned_model_differs(tmp_path: Path) -> None:
    model = NextGPT.from_config(*_config_and_dir(tmp_path))
    model.add_lora(LoraConfig(rank=4, alpha=8.0))
    with torch.no_grad():
        for name, parameter in model.llm.transformer.named_parameters():
            if ".lora_" in name:
                parameter.normal_()
    model.save_pretrained(tmp_path / "tiny")
    result = measure(str(tmp_path / "tiny"), GENERAL, max_tokens=6)
    assert result.agreement < 1 and result.perplexity > result.perplexity_of_frozen


def test_the_prompts_are_not_those_of_the_training() -> None:
    def prompts(path: Path) -> set[str]:
        """Return the words of each prompt, without punctuation and case."""
        return {" ".join(re.findall(r"\w+", line.lower())) for line in path.read_text(encoding="utf-8").splitlines()}

    held_out, trained = prompts(PROMPTS), prompts(Path(__file__).parents[2] / "recipes/small/general-prompts.txt")
    assert len(held_out) == 200 and not held_out & trained


def _config_and_dir(tmp_path: Path):
    from nextgpt.config import read_config

    folder = write_tiny_model(tmp_path / "tiny")
    return read_config(folder), folder
