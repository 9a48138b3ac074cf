"""Replies that are held to a JSON schema, by a model that knows no JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nextgpt import NextGPT, Sampling
from nextgpt.errors import ConfigError
from nextgpt.model.llm import json_constraint
from nextgpt.model.llm.json_constraint import check_schema
from nextgpt.testing.model import fake_model

SCHEMAS: dict[str, dict[str, Any]] = {
    "choice": {"enum": ["cat", "dog"]},
    "object": {
        "type": "object",
        "properties": {"is_cat": {"type": "boolean"}, "kind": {"enum": ["cat", "dog"]}},
        "required": ["is_cat", "kind"],
        "additionalProperties": False,
    },
}


@pytest.fixture(scope="module")
def model() -> NextGPT:
    return fake_model()


@pytest.mark.parametrize("name", SCHEMAS)
def test_replies_follow_the_schema(model: NextGPT, name: str) -> None:
    samplings = [Sampling(json_schema=json.dumps(SCHEMAS[name]), temperature=1.0, seed=seed) for seed in range(4)]
    values = [json.loads(reply.text) for reply in model.chat_batch(["What is this?"] * 4, samplings)]
    if name == "choice":
        assert {*values} <= {"cat", "dog"}
    else:
        assert all({*value} == {"is_cat", "kind"} and isinstance(value["is_cat"], bool) for value in values)


def test_a_constrained_reply_leaves_the_others_of_its_batch_alone(model: NextGPT) -> None:
    free = Sampling(max_tokens=8, modalities=("text",))
    held = Sampling(json_schema=json.dumps(SCHEMAS["choice"]))
    both = model.chat_batch(["hello", "hello"], [free, held])
    assert both[0].text == model.chat("hello", free).text
    assert json.loads(both[1].text) in ("cat", "dog")


@pytest.mark.parametrize("schema", ['{"type": "smell"}', "[", '{"$ref": "#/nowhere"}'])
def test_a_schema_that_cannot_be_followed_is_refused(model: NextGPT, schema: str) -> None:
    with pytest.raises(ConfigError, match="The JSON schema cannot be followed"):
        model.chat("hello", Sampling(json_schema=schema))


def test_media_beside_a_schema_are_refused(model: NextGPT) -> None:
    with pytest.raises(ConfigError, match="json_schema is set beside modalities"):
        model.chat("hello", Sampling(json_schema="{}", modalities=("text", "image")))


def test_without_the_package_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_constraint, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"pip install 'nextgpt\[json\]'"):
        check_schema("{}")
