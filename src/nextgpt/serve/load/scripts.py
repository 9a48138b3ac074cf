"""What the load test says: conversations of two turns in all modalities, no two alike."""

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

THINGS = ("cat", "dog", "car", "tree", "house", "fish", "apple", "boat")
COLOURS = ("red", "blue", "green", "yellow", "white", "black", "purple", "orange")


@dataclass(frozen=True)
class Turn:
    """What is said in one turn, and what may be answered (``None``: the model decides)."""

    words: str
    given: str | None = None
    """Modality of a medium that comes with it."""
    modalities: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Script:
    """One conversation."""

    number: int
    turns: tuple[Turn, ...]

    def content(self, turn: Turn) -> list[dict[str, Any]]:
        """A turn as parts of a request."""
        words = {"type": "text", "text": turn.words}
        if turn.given is None:
            return [words]
        kind = f"{turn.given}_url"
        return [{"type": kind, kind: {"url": _data_uri(turn.given, self.number % 64)}}, words]

    def request(self, messages: list[dict[str, Any]], turn: Turn) -> dict[str, Any]:
        """A turn after earlier messages, as a request whose answer is the same each time."""
        said = [*messages, {"role": "user", "content": self.content(turn)}]
        asked = {"messages": said, "seed": self.number, "temperature": 0.7, "max_completion_tokens": 48}
        return asked if turn.modalities is None else asked | {"modalities": list(turn.modalities)}


def scripts(count: int) -> list[Script]:
    """``count`` conversations; every eighth is of one kind."""
    return [Script(number, _turns(number)) for number in range(count)]


def _turns(number: int) -> tuple[Turn, ...]:
    thing, colour = THINGS[number % len(THINGS)], COLOURS[number // len(THINGS) % len(COLOURS)]
    kinds = (
        (Turn("What is this?", "image", ("text",)), Turn(f"Draw a {colour} {thing}.", None, ("image",))),
        (Turn(f"Draw a {colour} {thing}."), Turn("What did you draw?", None, ("text",))),
        (Turn("What do you hear?", "audio", ("text",)), Turn("Let me hear a bell.", None, ("audio",))),
        (Turn("Let me hear a trumpet.", None, ("text", "audio")), Turn("And now?", "image", ("text",))),
        (Turn("What happens here?", "video", ("text",)), Turn(f"Draw a {thing}.", None, ("image",))),
        (
            Turn(f"Show me a {colour} {thing} that moves.", None, ("video",)),
            Turn("What is it?", None, ("text",)),
        ),
        (Turn(f"Hello! Do you know a {thing}?", None, ("text",)), Turn(f"Say more of the {colour} one.")),
        (Turn("Make it darker.", "image", ("image",)), Turn("What is this?", None, ("text",))),
    )
    return kinds[number % len(kinds)]


@cache
def _data_uri(modality: str, number: int) -> str:
    made: dict[str, Medium] = {
        "image": tiny_image((4 * number, 255 - 4 * number, 128)),
        "audio": tiny_audio(),
        "video": tiny_video(),
    }
    with tempfile.TemporaryDirectory() as folder:
        content = made[modality].save(Path(folder) / "medium").read_bytes()
    return f"data:{mime_of(MODALITIES[modality].suffix)};base64,{base64.b64encode(content).decode()}"
