"""Prompt templates: strings before, between and after the turns of a conversation.

A template depends on the roles only, never on the content, so user text cannot change the format.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict

from nextgpt.errors import ConversationError, ModelError, unknown_name_message

MODALITY = "{modality}"
"""Placeholder for the modality in ``media_prefix`` and ``media_suffix``."""


@runtime_checkable
class ChatTokenizer(Protocol):
    """Subset of a transformers tokenizer that a template uses."""

    chat_template: Any
    eos_token: Any

    def apply_chat_template(self, conversation: Any, *, tokenize: bool, add_generation_prompt: bool) -> Any:
        """Format turns with the tokenizer's own template."""
        ...


@runtime_checkable
class Template(Protocol):
    """Interface of a prompt template."""

    media_prefix: str
    media_suffix: str
    trims_text: bool
    end_of_turn: str
    stop_strings: tuple[str, ...]

    def turn_delimiters(self, roles: Sequence[str], *, add_generation_prompt: bool) -> list[str]:
        """Return the strings around the turns: before the first, between each two, after the last.

        With ``add_generation_prompt`` the last string ends with the assistant prefix.
        """
        ...


class PromptTemplate(BaseModel):
    """Template of plain strings, which may contain special tokens of the tokenizer.

    ``turn_delimiters(["user", "assistant", "user"], add_generation_prompt=True)`` of ``nano``::

        ["<|user|>", "<|end|><|assistant|>", "<|end|><|user|>", "<|end|><|assistant|>"]
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bos: str = ""
    """Start of the prompt, once."""
    system: str = ""
    """System message of conversations without one."""
    system_prefix: str = ""
    system_suffix: str = ""
    user_prefix: str
    user_suffix: str = ""
    assistant_prefix: str
    end_of_turn: str
    """End of an assistant turn; the model generates it at the end of a reply."""
    media_prefix: str = ""
    """Text before the soft tokens of an input medium; ``{modality}`` is replaced by its name."""
    media_suffix: str = ""
    trims_text: bool = False
    """Remove blanks and line breaks between text and media, special tokens or signal tokens."""
    stop_strings: tuple[str, ...] = ()
    """Strings that end a reply."""

    def turn_delimiters(self, roles: Sequence[str], *, add_generation_prompt: bool) -> list[str]:
        """See :meth:`Template.turn_delimiters`."""
        prefixes = {"system": self.system_prefix, "user": self.user_prefix, "assistant": self.assistant_prefix}
        suffixes = {"system": self.system_suffix, "user": self.user_suffix, "assistant": self.end_of_turn}
        has_system = bool(roles) and roles[0] == "system"
        preamble = "" if has_system or not self.system else self.system_prefix + self.system + self.system_suffix
        before = [self.bos + preamble] + [suffixes[role] for role in roles]
        after = [prefixes[role] for role in roles] + [self.assistant_prefix if add_generation_prompt else ""]
        return [suffix + prefix for suffix, prefix in zip(before, after, strict=True)]


@dataclass(frozen=True)
class ChatTemplate:
    """Chat template of the tokenizer, for any chat model of the Hub."""

    tokenizer: ChatTokenizer
    end_of_turn: str
    media_prefix: str = ""
    media_suffix: str = ""
    trims_text: bool = False
    stop_strings: tuple[str, ...] = ()

    def turn_delimiters(self, roles: Sequence[str], *, add_generation_prompt: bool) -> list[str]:
        """See :meth:`Template.turn_delimiters`. Renders a placeholder per turn and splits at the placeholders.

        Raises:
            ConversationError: The template refuses the roles, with its own words.
        """
        from jinja2 import TemplateError

        turns = [{"role": role, "content": f"\ue000{index}\ue001"} for index, role in enumerate(roles)]
        try:
            rest = str(
                self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=add_generation_prompt)
            )
        except TemplateError as error:
            raise ConversationError(
                f"The LLM's chat template refuses the roles {', '.join(roles)} ({error}); expected roles in an order "
                "that it accepts. Change the messages, or name another template in config.json."
            ) from error
        strings = []
        for turn in turns:
            before, placeholder, rest = rest.partition(turn["content"])
            if not placeholder:
                raise ModelError(
                    f"The tokenizer's chat template omits a turn with the role {turn['role']}; expected all turns, in "
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
    "chatml": PromptTemplate(
        system_prefix="<|im_start|>system\n",
        system_suffix="<|im_end|>\n",
        user_prefix="<|im_start|>user\n",
        user_suffix="<|im_end|>\n",
        assistant_prefix="<|im_start|>assistant\n",
        end_of_turn="<|im_end|>\n",
        media_prefix="[{modality}:",
        media_suffix="]",
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
        trims_text=True,
        stop_strings=("\n###", "###"),
    ),
}
"""Templates by name; ``nextgpt_7b_tiva_v0`` belongs to the published checkpoint.

Vicuna's come from lm-sys/FastChat, ``docs/vicuna_weights_version.md``: v0, and v1.1 for v1.1 to v1.5.
"""


def create_template(template: str | PromptTemplate, tokenizer: ChatTokenizer) -> Template:
    """Return the template of that name, or the tokenizer's own for ``chat_template``. Raises :class:`ModelError`."""
    if isinstance(template, PromptTemplate):
        return template
    if template != "chat_template":
        if template not in TEMPLATES:
            raise ModelError(unknown_name_message("prompt template", template, [*TEMPLATES, "chat_template"]))
        return TEMPLATES[template]
    if not tokenizer.chat_template:
        raise ModelError(
            "The tokenizer has no chat template; config.json names 'chat_template'. "
            f"Name one of {', '.join(TEMPLATES)} there, or give its fields."
        )
    return ChatTemplate(tokenizer, end_of_turn=str(tokenizer.eos_token))
