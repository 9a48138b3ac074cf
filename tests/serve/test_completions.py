"""Plain text completions through OpenAI's own client."""

from __future__ import annotations

import openai
import pytest

from nextgpt.serve.protocol.chat import SEED_STRIDE
from nextgpt.testing.scripted_model import ScriptedModel


def test_a_prompt_is_answered_with_text_alone(client: openai.OpenAI, model: ScriptedModel):
    answer = client.completions.create(model="nano", prompt="Hello?", seed=3, max_tokens=7, stop=["x"])
    assert answer.object == "text_completion" and answer.id.startswith("cmpl-")
    assert [(choice.text, choice.finish_reason) for choice in answer.choices] == [("Yes.", "stop")]
    assert answer.usage is not None and model.received[-1].messages[-1].text == "Hello?"
    sampling = model.samplings[-1]
    assert (sampling.modalities, sampling.max_tokens, sampling.stop) == (("text",), 7, ("x",))


def test_several_prompts_have_choices_in_order(client: openai.OpenAI, model: ScriptedModel):
    answer = client.completions.create(model="nano", prompt=["a", "b"], n=2, seed=3)
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert [said.messages[0].text for said in model.received[-4:]] == ["a", "a", "b", "b"]
    assert [sampling.seed for sampling in model.samplings[-4:]] == [3, 3 + SEED_STRIDE] * 2


def test_a_stream_ends_with_reason_and_usage(client: openai.OpenAI):
    stream = client.completions.create(
        model="nano", prompt="Hello?", stream=True, stream_options={"include_usage": True}
    )
    *chunks, last = stream
    assert [(chunk.choices[0].text, chunk.choices[0].finish_reason) for chunk in chunks] == [
        ("Yes.", None),
        ("", "stop"),
    ]
    assert last.choices == [] and last.usage is not None


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"model": "gpt-9"}, openai.NotFoundError),
        ({"prompt": []}, openai.BadRequestError),
        ({"prompt": [1, 2]}, openai.BadRequestError),
        ({"prompt": ["a"] * 16}, openai.BadRequestError),
    ],
)
def test_mistakes_are_the_clients_own_errors(client: openai.OpenAI, change: dict, kind: type[Exception]):
    with pytest.raises(kind):
        client.completions.create(**{"model": "nano", "prompt": "x"} | change)
