"""The endpoint around an LLM writes valid objects, and no n-gram twice if that is forbidden."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from benchmarks.transformers_endpoint import create_app, first_line
from fastapi.testclient import TestClient

import nextgpt

LLM = Path(nextgpt.__file__).parent / "weights" / "nano" / "llm"
NAMES = ["turn1_user", "turn1_assistant", "turn1_assistant_image"]
LENGTH = 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An LLM of random weights, which repeats itself, with nano's tokenizer and a chat template."""
    from transformers import AutoConfig, AutoModelForCausalLM

    shutil.copytree(LLM, tmp_path / "llm")
    path = tmp_path / "llm" / "tokenizer_config.json"
    template = "{% for message in messages %}{{ message.content }}\n{% endfor %}"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"chat_template": template}))
    torch.manual_seed(1)
    AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(str(tmp_path / "llm"))).save_pretrained(path.parent)
    return tmp_path / "llm"


def answer(folder: Path, *, no_repeat_ngram: int) -> dict[str, str]:
    schema = {"type": "object", "properties": {name: {"type": "string"} for name in NAMES}, "required": NAMES}
    body = {
        "messages": [{"role": "user", "content": "Draw a red car. Draw a red car. Draw a red car."}],
        "max_tokens": 60,
        "temperature": 0,
        "response_format": {"type": "json_schema", "json_schema": {"name": "dialogue", "schema": schema}},
    }
    client = TestClient(create_app(str(folder), no_repeat_ngram=no_repeat_ngram))
    response = client.post("/v1/chat/completions", json=body)
    return json.loads(response.json()["choices"][0]["message"]["content"])


def num_repeated(folder: Path, fields: dict[str, str]) -> int:
    """Count n-grams of tokens that the values hold more than once."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    ids = [tokenizer(value, add_special_tokens=False)["input_ids"] for value in fields.values()]
    found = [tuple(value[start : start + LENGTH]) for value in ids for start in range(len(value) - LENGTH + 1)]
    return len(found) - len(set(found))


def test_answers_hold_the_fields_of_the_schema_without_forbidden_repetitions(folder: Path) -> None:
    free, limited = answer(folder, no_repeat_ngram=0), answer(folder, no_repeat_ngram=LENGTH)
    assert list(free) == list(limited) == NAMES
    assert num_repeated(folder, free) > 2 * num_repeated(folder, limited)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('A lamp." and more', "A lamp."),
        ("A lamp\nA hall", "A lamp"),
        ("It hums. It is 3.5 m tall and", "It hums."),
        ("It is 3.5 m tall and", "It is 3.5 m tall and"),
        ("", ""),
    ],
)
def test_values_end_with_a_quotation_mark_a_line_or_a_sentence(text: str, value: str) -> None:
    assert first_line(text) == value
