"""Templates: what stands around the turns, whatever is said in them."""

from __future__ import annotations

import pytest

from nextgpt.errors import ModelError
from nextgpt.prompt_template import TEMPLATES, PromptTemplate, create_template
from nextgpt.testing.tokenizer import tiny_tokenizer

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content | trim }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def test_nano_opens_and_closes_every_turn():
    around = TEMPLATES["nano"].turn_delimiters(["user", "assistant", "user"], add_generation_prompt=True)
    assert around == ["<|user|>", "<|end|><|assistant|>", "<|end|><|user|>", "<|end|><|assistant|>"]


def test_a_conversation_that_is_over_ends_with_the_end_of_the_turn():
    assert TEMPLATES["nano"].turn_delimiters(["user", "assistant"], add_generation_prompt=False)[-1] == "<|end|>"


def test_vicuna_says_its_system_text_first():
    around = TEMPLATES["vicuna_v1.1"].turn_delimiters(["user", "assistant", "user"], add_generation_prompt=True)
    assert around[0].startswith("<s>A chat between a curious user and") and around[0].endswith("questions. USER: ")
    assert around[1:] == [" ASSISTANT:", "</s>USER: ", " ASSISTANT:"]


# lm-sys/FastChat, docs/vicuna_weights_version.md, "Example prompt"; the start token is the tokenizer's.
FASTCHAT = {
    "vicuna_v0": "<s>A chat between a curious human and an artificial intelligence assistant. The assistant gives "
    "helpful, detailed, and polite answers to the human's questions.\n\n"
    "### Human: Hello!\n### Assistant: Hello!\n### Human: How are you?\n### Assistant: I am good.",
    "vicuna_v1.1": "<s>A chat between a curious user and an artificial intelligence assistant. The assistant gives "
    "helpful, detailed, and polite answers to the user's questions. "
    "USER: Hello! ASSISTANT: Hello!</s>USER: How are you? ASSISTANT: I am good.</s>",
}


@pytest.mark.parametrize("name", FASTCHAT)
def test_vicunas_templates_are_laid_out_as_documented(name):
    roles = ["user", "assistant", "user", "assistant"]
    around = TEMPLATES[name].turn_delimiters(roles, add_generation_prompt=False)
    said = ["Hello!", " Hello!", "How are you?", " I am good.", ""]
    woven = "".join(part for pair in zip(around, said, strict=True) for part in pair)
    assert woven.removesuffix("\n###") == FASTCHAT[name]


def test_a_system_message_takes_the_place_of_the_templates_own():
    around = TEMPLATES["vicuna_v1.1"].turn_delimiters(["system", "user"], add_generation_prompt=True)
    assert around == ["<s>", " USER: ", " ASSISTANT:"]


def test_the_published_checkpoints_template_is_laid_out_as_it_was_trained():
    around = TEMPLATES["nextgpt_7b_tiva_v0"].turn_delimiters(["user", "assistant", "user"], add_generation_prompt=True)
    said = ["one", " two", "three", ""]
    woven = "".join(part for pair in zip(around, said, strict=True) for part in pair)
    assert woven == "<s>### Human: one\n### Assistant: two\n### Human: three\n### Assistant:"


def test_a_tokenizers_own_template_serves_too():
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = CHATML
    around = create_template("chat_template", tokenizer).turn_delimiters(
        ["user", "assistant"], add_generation_prompt=True
    )
    assert around == [
        "<|im_start|>user\n",
        "<|im_end|>\n<|im_start|>assistant\n",
        "<|im_end|>\n<|im_start|>assistant\n",
    ]


def test_a_template_that_leaves_a_turn_out_is_refused():
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = "{{ messages[-1].content }}"
    with pytest.raises(ModelError, match="omits a turn with the role user"):
        create_template("chat_template", tokenizer).turn_delimiters(["user", "assistant"], add_generation_prompt=True)


def test_a_tokenizer_without_a_template_is_refused_with_the_known_names():
    with pytest.raises(ModelError, match="no chat template.*nano"):
        create_template("chat_template", tiny_tokenizer())


def test_an_unknown_template_names_the_nearest():
    with pytest.raises(ModelError, match="Did you mean 'nano'"):
        create_template("nanno", tiny_tokenizer())


def test_a_template_can_be_given_by_its_fields():
    own = PromptTemplate(user_prefix="Q: ", assistant_prefix="A:", end_of_turn="\n")
    assert create_template(own, tiny_tokenizer()) is own
