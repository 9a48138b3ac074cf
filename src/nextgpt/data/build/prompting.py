"""Prompts for the LLM, and its answers as messages.

An answer is one flat JSON object. Its keys follow from the plan, so the schema alone fixes the number of turns, the
alternation of roles and the media of each message::

    {"turn1_user": …, "turn1_user_image": <caption>, "turn1_assistant": …, "turn1_assistant_audio": <caption>, …}
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from nextgpt.data.build.row import BuiltMessage, DialoguePlan, Part, PlannedTurn, Role
from nextgpt.modality import MODALITIES

ROLES: tuple[Role, ...] = ("user", "assistant")
MAX_QUOTED_CHARACTERS = 6000
"""Characters of a wrong answer that a repair shows again."""


@dataclass(frozen=True)
class PlannedField:
    """A string that the LLM writes."""

    name: str
    turn: int
    """Index of the turn."""
    role: Role
    type: str
    """``text``, or the modality that the string is a caption of."""
    description: str


@dataclass(frozen=True)
class Demonstration:
    """An example of a dialogue."""

    topic: str
    fields: Mapping[str, str]

    @property
    def modalities(self) -> frozenset[str]:
        """Modalities of its media."""
        return frozenset(name for name in MODALITIES for field in self.fields if field.endswith(f"_{name}"))


def planned_fields(plan: DialoguePlan) -> tuple[PlannedField, ...]:
    """Return the fields of a plan in order; a given medium has none, as its caption is known."""
    intents = _load_yaml("intents.yaml")
    fields: list[PlannedField] = []
    seen: list[str] = []
    is_given_left = plan.given is not None
    for index, turn in enumerate(plan.turns):
        prefix = f"turn{index + 1}"
        for role in ROLES:
            media = turn.media(role)
            if role == "user":
                outputs = " and ".join(_with_article(MODALITIES[name].noun) for name in turn.assistant_media)
                text = intents[turn.intent].format(source=_source(turn, seen), outputs=outputs)
            else:
                text = "Reply of the assistant" + (f" that comes with its {_nouns(media)}." if media else ".")
            fields.append(PlannedField(f"{prefix}_{role}", index, role, "text", text))
            for name in media:
                if is_given_left:
                    is_given_left = False
                    continue
                noun = MODALITIES[name].noun
                owner = "that the user shows" if role == "user" else "that the assistant shows"
                edited = ", the edited one as a whole" if turn.intent == "edit" and role == "assistant" else ""
                description = f"Caption of the {noun} {owner}{edited}."
                fields.append(PlannedField(f"{prefix}_{role}_{name}", index, role, name, description))
            seen += media
    return tuple(fields)


def _source(turn: PlannedTurn, seen: Sequence[str]) -> str:
    """Name the medium that a request refers to."""
    if turn.user_media:
        return f"the {_nouns(turn.user_media)} that comes with this message"
    wanted = turn.assistant_media if turn.intent == "edit" else seen
    others = [name for name in seen if turn.intent != "cross_modal" or name not in turn.assistant_media]
    name = wanted[-1] if turn.intent == "edit" else (others or list(seen) or [""])[-1]
    return f"the last {MODALITIES[name].noun}" if name else "what was said"


def _nouns(media: Sequence[str]) -> str:
    return " and ".join(MODALITIES[name].noun for name in media)


def _with_article(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def answer_model(plan: DialoguePlan) -> type[BaseModel]:
    """Return the model that validates an answer."""
    fields: dict[str, Any] = {field.name: (str, ...) for field in planned_fields(plan)}
    return create_model("Answer", __config__=ConfigDict(extra="forbid"), **fields)


def answer_schema(plan: DialoguePlan) -> dict[str, Any]:
    """Return the JSON schema of an answer, within the subset that strict structured outputs accept."""
    fields = planned_fields(plan)
    return {
        "type": "object",
        "properties": {field.name: {"type": "string", "description": field.description} for field in fields},
        "required": [field.name for field in fields],
        "additionalProperties": False,
    }


def build_messages(row_id: str, plan: DialoguePlan, *, demonstrations: int) -> list[dict[str, str]]:
    """Return the prompt as chat messages. It depends on the arguments and the prompt files only."""
    version, system = load_prompt(plan.kind)
    lines = [f"{field.name}: {field.description}" for field in planned_fields(plan)]
    examples = [
        f"<example>\nTopic: {shown.topic}\n{json.dumps(dict(shown.fields), ensure_ascii=False)}\n</example>"
        for shown in choose_demonstrations(row_id, plan, demonstrations)
    ]
    data = {"topic": plan.topic}
    if plan.given is not None:
        data = {f"caption of the {MODALITIES[plan.given.modality].noun}": plan.given.caption}
    request = [
        *examples,
        f"Write item {row_id} about this:",
        f"<data>{json.dumps(data, ensure_ascii=False).replace('<', chr(92) + 'u003c')}</data>",
        f"Language of the texts: {language_name(plan.language)}.",
        f"Number of turns: {len(plan.turns)}. Fields, in order:",
        *lines,
        "Answer with one JSON object that has exactly these keys.",
    ]
    return [
        {"role": "system", "content": f"{system}\n(prompt version {version})"},
        {"role": "user", "content": "\n".join(request)},
    ]


def repair_messages(messages: Sequence[dict[str, str]], answer: str, problems: Sequence[str]) -> list[dict[str, str]]:
    """Return the prompt of the repair round: the wrong answer and what is wrong with it."""
    _, text = load_prompt("repair")
    return [
        *messages,
        {"role": "assistant", "content": answer[:MAX_QUOTED_CHARACTERS]},
        {"role": "user", "content": text.format(problems="\n".join(f"- {problem}" for problem in problems))},
    ]


def parse_answer(plan: DialoguePlan, answer: str) -> dict[str, str]:
    """Return the fields of an answer. Raises ``ValueError`` that says what is wrong.

    Text around the JSON object, such as a code fence, is ignored.
    """
    start = answer.find("{")
    if start < 0:
        raise ValueError("it holds no JSON object")
    try:
        values, _ = json.JSONDecoder(strict=False).raw_decode(answer, start)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"its JSON is invalid: {error}") from None
    try:
        fields = answer_model(plan).model_validate(values).model_dump()
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, e['loc'])) or 'answer'}: {e['msg']}" for e in error.errors()[:6]]
        raise ValueError("; ".join(problems)) from None
    return {name: clean_text(value) for name, value in fields.items()}


def clean_text(text: str) -> str:
    """Remove characters that no text needs (control characters, lone surrogates), and surrounding space."""
    kept = "".join(c for c in text if c in "\n\t" or not (ord(c) < 32 or ord(c) == 127 or 0xD800 <= ord(c) < 0xE000))
    return kept.strip()


def to_messages(plan: DialoguePlan, fields: Mapping[str, str]) -> tuple[BuiltMessage, ...]:
    """Build messages: media precede the user's text and follow the assistant's."""
    messages: list[BuiltMessage] = []
    given = plan.given
    for index, turn in enumerate(plan.turns):
        for role in ROLES:
            name = f"turn{index + 1}_{role}"
            media: list[Part] = []
            for modality in turn.media(role):
                is_edit = role == "assistant" and turn.intent == "edit" and modality == turn.assistant_media[0]
                caption = fields.get(f"{name}_{modality}") or (given.caption if given else "")
                media.append(Part(type=modality, caption=caption, is_edit=is_edit))
            text = Part(type="text", text=fields[name])
            messages.append(BuiltMessage(role=role, content=(*media, text) if role == "user" else (text, *media)))
    return tuple(messages)


def choose_demonstrations(row_id: str, plan: DialoguePlan, count: int) -> list[Demonstration]:
    """Return the demonstrations nearest to the plan's modalities; ties are broken at random by the id."""
    choices = load_demonstrations(plan.kind)
    random.Random(row_id).shuffle(choices)
    mix = frozenset(plan.mix)
    return sorted(choices, key=lambda shown: len(mix ^ shown.modalities))[:count]


def load_demonstrations(kind: str) -> list[Demonstration]:
    """Return all demonstrations of a kind."""
    return [Demonstration(entry["topic"], entry["fields"]) for entry in _load_yaml("demonstrations.yaml")[kind]]


def load_prompt(name: str) -> tuple[int, str]:
    """Return version and text of a prompt file."""
    head, _, text = _read_text(f"{name}.md").partition("\n")
    return int(head.removeprefix("version:")), text.strip()


def language_name(code: str) -> str:
    """Return the English name of a language code."""
    return LANGUAGE_NAMES.get(code, code)


LANGUAGE_NAMES = {
    "ar": "Arabic", "cs": "Czech", "da": "Danish", "de": "German", "el": "Greek", "en": "English", "es": "Spanish",
    "fi": "Finnish", "fr": "French", "he": "Hebrew", "hi": "Hindi", "it": "Italian", "ja": "Japanese", "ko": "Korean",
    "nl": "Dutch", "pl": "Polish", "pt": "Portuguese", "ru": "Russian", "sv": "Swedish", "th": "Thai", "tr": "Turkish",
    "uk": "Ukrainian", "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip


@cache
def _read_text(name: str) -> str:
    return (resources.files("nextgpt.data.build") / "prompts" / name).read_text(encoding="utf-8")


@cache
def _load_yaml(name: str) -> Any:
    return yaml.safe_load(_read_text(name))
