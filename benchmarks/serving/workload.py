"""Conversations of two turns in all modalities, no two alike."""

from __future__ import annotations

import base64
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from nextgpt.media.file_types import mime_of
from nextgpt.message import Medium
from nextgpt.modality import MODALITIES
from nextgpt.testing.scripted_model import tiny_audio, tiny_image, tiny_video

OBJECTS = ("cat", "dog", "car", "tree", "house", "fish", "apple", "boat")
COLOURS = ("red", "blue", "green", "yellow", "white", "black", "purple", "orange")


@dataclass(frozen=True)
class ScriptTurn:
    """One user message."""

    text: str
    input_modality: str | None = None
    """Modality of the attached medium."""
    output_modalities: tuple[str, ...] | None = None
    """Modalities of the answer; ``None``: the model decides."""


@dataclass(frozen=True)
class ConversationScript:
    """User messages of one conversation."""

    number: int
    turns: tuple[ScriptTurn, ...]

    def content(self, turn: ScriptTurn) -> list[dict[str, Any]]:
        """Return a turn as content parts."""
        text = {"type": "text", "text": turn.text}
        if turn.input_modality is None:
            return [text]
        kind = f"{turn.input_modality}_url"
        return [{"type": kind, kind: {"url": _data_uri(turn.input_modality, self.number % 64)}}, text]

    def request(self, messages: list[dict[str, Any]], turn: ScriptTurn) -> dict[str, Any]:
        """Return the body of a request for a turn after earlier messages; it is deterministic."""
        body = {
            "messages": [*messages, {"role": "user", "content": self.content(turn)}],
            "seed": self.number,
            "temperature": 0.7,
            "max_completion_tokens": 48,
            "nextgpt": {"parts": "b64"},
        }
        return body if turn.output_modalities is None else body | {"modalities": list(turn.output_modalities)}


def make_scripts(count: int) -> list[ConversationScript]:
    """Return ``count`` conversations; every eighth has the same kind."""
    return [ConversationScript(number, _turns(number)) for number in range(count)]


def _turns(number: int) -> tuple[ScriptTurn, ...]:
    thing, colour = OBJECTS[number % len(OBJECTS)], COLOURS[number // len(OBJECTS) % len(COLOURS)]
    turn = ScriptTurn
    kinds = (
        (turn("What is this?", "image", ("text",)), turn(f"Draw a {colour} {thing}.", None, ("image",))),
        (turn(f"Draw a {colour} {thing}."), turn("What did you draw?", None, ("text",))),
        (turn("What do you hear?", "audio", ("text",)), turn("Let me hear a bell.", None, ("audio",))),
        (turn("Let me hear a trumpet.", None, ("text", "audio")), turn("And now?", "image", ("text",))),
        (turn("What happens here?", "video", ("text",)), turn(f"Draw a {thing}.", None, ("image",))),
        (turn(f"Show me a {colour} {thing} that moves.", None, ("video",)), turn("What is it?", None, ("text",))),
        (turn(f"Hello! Do you know a {thing}?", None, ("text",)), turn(f"Say more of the {colour} one.")),
        (turn("Make it darker.", "image", ("image",)), turn("What is this?", None, ("text",))),
    )
    return kinds[number % len(kinds)]


@cache
def _data_uri(modality: str, number: int) -> str:
    media: dict[str, Medium] = {
        "image": tiny_image((4 * number, 255 - 4 * number, 128)),
        "audio": tiny_audio(),
        "video": tiny_video(),
    }
    with tempfile.TemporaryDirectory() as folder:
        content = media[modality].save(Path(folder) / "medium").read_bytes()
    return f"data:{mime_of(MODALITIES[modality].suffix)};base64,{base64.b64encode(content).decode()}"
