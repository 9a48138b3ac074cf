"""Pipeline baseline: an LLM behind an OpenAI endpoint that plans calls of tools, as Visual ChatGPT and HuggingGPT do.

The tools caption, draw, play and film belong to the evaluated model: its own descriptions of media, and its
synthesizers with their text encoders. So only the way in which LLM and media are connected differs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from nextgpt.evaluate.standard.item_systems.openai_endpoint import OpenAIEndpoint
from nextgpt.message import Conversation, Medium, Message, Reply, Sampling, Text

MAX_ROUNDS = 6
"""Requests per reply; the answer of the last one ends it."""
MAX_MEDIA = 8
SYSTEM = """\
You answer with text, images, audio and video. You cannot see or hear media yourself; call tools for that. Media have \
names such as image-1. caption describes a medium; draw, play and film make a new one from a complete description in \
English. To change a medium, caption it first, then make a new one. Make media only if the user asks for them. \
Media that you make are shown to the user; finish with one short sentence."""
MAKERS = {"draw": "image", "play": "audio", "film": "video"}
"""Modality that each tool makes."""


def _tool(name: str, about: str, argument: str) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {argument: {"type": "string"}}, "required": [argument]}
    return {"type": "function", "function": {"name": name, "description": about, "parameters": parameters}}


TOOLS = (
    _tool("caption", "Describe a medium by its name.", "medium"),
    _tool("draw", "Make an image.", "description"),
    _tool("play", "Make an audio clip.", "description"),
    _tool("film", "Make a short video.", "description"),
)


@runtime_checkable
class Captions(Protocol):
    """Describes media, as :class:`~nextgpt.evaluate.standard.cascade_model.Captioner` does."""

    def describe(self, media: Sequence[Medium]) -> list[str]:
        """Return one caption per medium."""
        ...


@runtime_checkable
class Synthesis(Protocol):
    """Makes media from captions, as :class:`~nextgpt.evaluate.caption_synthesizer.CaptionSynthesizer` does."""

    def to_replies(self, answers: Sequence[list[str]], seeds: Sequence[int]) -> list[Reply]:
        """Return a reply per answer that is split into text, modality, caption, text, ..., text."""
        ...


class Pipeline:
    """Implements :class:`.base.ChatModel`.

    Args:
        endpoint: LLM that plans, with support of tool calls.
        captioner: Tool ``caption``.
        synthesizer: Tools ``draw``, ``play`` and ``film``.
    """

    def __init__(self, endpoint: OpenAIEndpoint, captioner: Captions, synthesizer: Synthesis) -> None:
        self._endpoint = endpoint
        self._captioner = captioner
        self._synthesizer = synthesizer

    def chat_batch(self, conversations: Sequence[Conversation], sampling: Sequence[Sampling]) -> list[Reply]:
        """Reply to several conversations, one after another."""
        return [self._reply(*pair) for pair in zip(conversations, sampling, strict=True)]

    def _reply(self, conversation: Conversation, sampling: Sampling) -> Reply:
        media: dict[str, Medium] = {}
        messages: list[dict[str, Any]] = [{"role": "system", "content": SYSTEM}]
        messages += [self._to_message(message, media) for message in conversation]
        outputs: list[Medium] = []
        text = ""
        for _ in range(MAX_ROUNDS):
            message = self._endpoint.complete(messages, tools=list(TOOLS), temperature=0.0, seed=sampling.seed)
            text = message.get("content") or ""
            calls = message.get("tool_calls") or []
            if not calls:
                break
            messages.append({"role": "assistant", "content": text, "tool_calls": calls})
            for call in calls:
                result = self._call(call["function"], media, outputs, sampling.seed)
                messages.append({"role": "tool", "tool_call_id": call.get("id", ""), "content": result})
        return Reply((*([Text(text)] if text else []), *outputs), sampling.seed)

    def _call(self, function: dict[str, Any], media: dict[str, Medium], outputs: list[Medium], seed: int) -> str:
        """Run a tool and return what the LLM reads; a wrong call is answered, not raised."""
        name = function.get("name", "")
        try:
            arguments = json.loads(function.get("arguments") or "{}")
            value = str(next(iter(arguments.values()))).strip()
        except (ValueError, AttributeError, StopIteration):
            return "Error: the arguments are no JSON object with one string."
        if name == "caption":
            if value not in media:
                return f"Error: no medium {value!r}; the media are {', '.join(media) or 'none'}."
            return self._captioner.describe([media[value]])[0]
        if name not in MAKERS:
            return f"Error: no tool {name!r}; the tools are caption, draw, play, film."
        if len(outputs) >= MAX_MEDIA:
            return "Error: no more media in this answer."
        reply = self._synthesizer.to_replies([["", MAKERS[name], value, ""]], [seed + len(outputs)])[0]
        if not reply.message.media:
            return f"Error: this system makes no {MAKERS[name]}."
        outputs.extend(reply.message.media)
        return f"{_add(media, outputs[-1])} is shown to the user."

    @staticmethod
    def _to_message(message: Message, media: dict[str, Medium]) -> dict[str, Any]:
        parts = [part.text if isinstance(part, Text) else f"[{_add(media, part)}]" for part in message.parts]
        return {"role": message.role, "content": " ".join(parts)}


def _add(media: dict[str, Medium], medium: Medium) -> str:
    """Name a medium ``image-1``, ``image-2``, ... and return the name."""
    name = f"{medium.modality}-{1 + sum(key.startswith(medium.modality) for key in media)}"
    media[name] = medium
    return name
