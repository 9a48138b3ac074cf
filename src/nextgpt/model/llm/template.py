"""How a conversation is laid out for a language model: what stands before, between and after the turns.

A template sees only who speaks, never what is said, so nothing that a person says can change the layout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict

from nextgpt.errors import ModelError, unknown_name_message

MODALITY = "{modality}"
"""Stands for the name of a medium's modality in ``media_prefix`` and ``media_suffix``."""


@runtime_checkable
class ChatTokenizer(Protocol):
    """What a template needs of a tokenizer of transformers."""

    chat_template: Any
    eos_token: Any

    def apply_chat_template(self, conversation: Any, *, tokenize: bool, add_generation_prompt: bool) -> Any:
        """Lay out turns as the tokenizer's own template says."""
        ...


@runtime_checkable
class Template(Protocol):
    """What the rest of the package needs to know of a template."""

    media_prefix: str
    media_suffix: str
    end_of_turn: str
    stop_strings: tuple[str, ...]

    def turn_delimiters(self, roles: Sequence[str], *, add_generation_prompt: bool) -> list[str]:
        """The strings around the turns: one before the first, one between each two, one after the last.

        With ``add_generation_prompt`` the last string ends where the assistant begins to speak.
        """
        ...


class PromptTemplate(BaseModel):
    """A template made of plain strings. Special tokens of the tokenizer may stand in any of them.

    ``turn_delimiters(["user", "assistant", "user"], add_generation_prompt=True)`` of ``nano``::

        ["<|user|>", "<|end|><|assistant|>", "<|end|><|user|>", "<|end|><|assistant|>"]
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bos: str = ""
    """Stands once, before everything."""
    system: str = ""
    """Said at the start of a conversation that has no system message of its own."""
    system_prefix: str = ""
    system_suffix: str = ""
    user_prefix: str
    user_suffix: str = ""
    assistant_prefix: str
    end_of_turn: str
    """Closes what the assistant says; the model itself ends its answers with it."""
    media_prefix: str = ""
    """Before the soft tokens of a medium that was given; ``{modality}`` stands for its name."""
    media_suffix: str = ""
    stop_strings: tuple[str, ...] = ()
    """Text at which an answer ends."""

    def turn_delimiters(self, roles: Sequence[str], *, add_generation_prompt: bool) -> list[str]:
        """See :meth:`Template.turn_delimiters`."""
        opened = {"system": self.system_prefix, "user": self.user_prefix, "assistant": self.assistant_prefix}
        closed = {"system": self.system_suffix, "user": self.user_suffix, "assistant": self.end_of_turn}
        has_system = bool(roles) and roles[0] == "system"
        preamble = (
            "" if has_system or not self.system else self.system_prefix + self.system + self.system_suffix
        )
        before = [self.bos + preamble] + [closed[role] for role in roles]
        after = [opened[role] for role in roles] + [self.assistant_prefix if add_generation_prompt else ""]
        return [close + open_ for close, open_ in zip(before, after, strict=True)]


@dataclass(frozen=True)
class ChatTemplate:
    """The template that a tokenizer brings itself, for any chat model of the Hub."""

    tokenizer: ChatTokenizer
    end_of_turn: str
    media_prefix: str = ""
    media_suffix: str = ""
    stop_strings: tuple[str, ...] = ()

    def turn_delimiters(self, roles: Sequence[str], *, add_generation_prompt: bool) -> list[str]:
        """See :meth:`Template.turn_delimiters`: render with a placeholder for each turn, then cut at the placeholders."""
        turns = [{"role": role, "content": f"\ue000{index}\ue001"} for index, role in enumerate(roles)]
        rest = str(
            self.tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=add_generation_prompt
            )
        )
        strings = []
        for turn in turns:
            before, found, rest = rest.partition(turn["content"])
            if not found:
                raise ModelError(
                    f"The tokenizer's chat template leaves out a turn of the {turn['role']}; expected every turn, in "
                    "order. Name another template in config.json."
                )
            strings.append(before)
        return [*strings, rest]


TEMPLATES: dict[str, PromptTemplate] = {
    "nano": PromptTemplate(
        system_prefix="<|system|>",
        system_suffix="<|end|>",
        user_prefix="<|user|>",
        user_suffix="<|end|>",
        assistant_prefix="<|assistant|>",
        end_of_turn="<|end|>",
        media_prefix="<|{modality}|>",
        media_suffix="<|close|>",
    ),
    "vicuna_v1.1": PromptTemplate(
        bos="<s>",
        system="A chat between a curious user and an artificial intelligence assistant. "
        "The assistant gives helpful, detailed, and polite answers to the user's questions.",
        system_suffix=" ",
        user_prefix="USER: ",
        user_suffix=" ",
        assistant_prefix="ASSISTANT:",
        end_of_turn="</s>",
        media_prefix="<Img>",
        media_suffix="</Img>",
    ),
    "vicuna_v0": PromptTemplate(
        bos="<s>",
        system="A chat between a curious human and an artificial intelligence assistant. "
        "The assistant gives helpful, detailed, and polite answers to the human's questions.",
        system_suffix="\n\n###",
        user_prefix=" Human: ",
        user_suffix="\n###",
        assistant_prefix=" Assistant:",
        end_of_turn="\n###",
        media_prefix="<Img>",
        media_suffix="</Img>",
        stop_strings=("\n###", "###"),
    ),
    "nextgpt_7b_tiva_v0": PromptTemplate(
        bos="<s>###",
        system_prefix=" ",
        system_suffix="\n###",
        user_prefix=" Human: ",
        user_suffix="\n###",
        assistant_prefix=" Assistant:",
        end_of_turn="\n###",
        media_prefix="<Img>",
        media_suffix="</Img><s>",
        stop_strings=("\n###", "###"),
    ),
}
"""Templates by name; ``nextgpt_7b_tiva_v0`` is that of the published checkpoint, the others are their models' own.

Vicuna's are those of lm-sys/FastChat, ``docs/vicuna_weights_version.md``: v0 as ``vicuna_v0``, v1.1 to v1.5 alike.
"""


def create_template(template: str | PromptTemplate, tokenizer: ChatTokenizer) -> Template:
    """The template of that name, or the tokenizer's own for ``chat_template``. Raises :class:`ModelError`."""
    if isinstance(template, PromptTemplate):
        return template
    if template != "chat_template":
        if template not in TEMPLATES:
            raise ModelError(unknown_name_message("prompt template", template, [*TEMPLATES, "chat_template"]))
        return TEMPLATES[template]
    if not tokenizer.chat_template:
        raise ModelError(
            "The tokenizer has no chat template of its own; expected one, as config.json names 'chat_template'. "
            f"Name one of {', '.join(TEMPLATES)} there, or give its fields."
        )
    return ChatTemplate(tokenizer, end_of_turn=str(tokenizer.eos_token))
