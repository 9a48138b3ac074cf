"""Media of a few pixels and samples, and a model that answers from a script: nothing is computed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import PIL.Image

from nextgpt.errors import ConversationError
from nextgpt.message import (
    Audio,
    Conversation,
    DenoisingProgress,
    Event,
    Image,
    MediumFinished,
    Reply,
    ReplyFinished,
    Sampling,
    Text,
    TextDelta,
    Video,
)


def tiny_image(colour: tuple[int, int, int] = (255, 0, 0)) -> Image:
    """A picture of one colour, 8 x 8."""
    return Image(PIL.Image.new("RGB", (8, 8), colour))


def tiny_audio() -> Audio:
    """A fading tone of a tenth of a second."""
    samples = np.linspace(1, 0, 1600, dtype=np.float32)[None] * np.sin(np.arange(1600, dtype=np.float32))
    return Audio(samples.astype(np.float32), sample_rate_hz=16_000)


def tiny_video() -> Video:
    """Four frames from dark to light."""
    frames = np.stack([np.full((8, 8, 3), level, dtype=np.uint8) for level in (0, 80, 160, 240)])
    return Video(frames, fps=8.0)


@dataclass
class ScriptedModel:
    """Says "Look:", shows a picture and a sound, says "Nice?"; refuses what holds the word "refuse"."""

    received: list[Conversation] = field(default_factory=list)

    def stream(self, content: Conversation, sampling: Sampling) -> Iterator[Event]:
        """Answer in the order of speaking."""
        if "refuse" in content.messages[-1].text:
            raise ConversationError("refuse came; expected another word. Say something else.")
        if "interrupt" in content.messages[-1].text:
            raise KeyboardInterrupt
        self.received.append(content)
        parts = (Text("Look: here"), tiny_image(), tiny_audio(), Text("Nice?"))
        yield from (
            TextDelta("Look:"),
            TextDelta(" here"),
            DenoisingProgress("image", 1, 2),
            DenoisingProgress("image", 2, 2),
            MediumFinished(parts[1]),
        )
        yield from (DenoisingProgress("audio", 1, 1), MediumFinished(parts[2]), TextDelta("Nice?"))
        yield ReplyFinished(
            Reply(parts, sampling.seed, ("half a film",), {"encoding": 0.25, "llm": 0.5, "total": 0.75})
        )

    def chat(self, content: Conversation, sampling: Sampling) -> Reply:
        """The fold of :meth:`stream`."""
        print("a library that prints")
        return next(
            event.reply for event in self.stream(content, sampling) if isinstance(event, ReplyFinished)
        )
