"""Tiny media, and a model that replies from a script."""

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
    """Create an image of one color, 8 x 8 pixels."""
    return Image(PIL.Image.new("RGB", (8, 8), colour))


def tiny_audio() -> Audio:
    """Create a fading tone of 0.1 s."""
    samples = np.linspace(1, 0, 1600, dtype=np.float32)[None] * np.sin(np.arange(1600, dtype=np.float32))
    return Audio(samples.astype(np.float32), sample_rate_hz=16_000)


def tiny_video() -> Video:
    """Create four frames from dark to light."""
    frames = np.stack([np.full((8, 8, 3), level, dtype=np.uint8) for level in (0, 80, 160, 240)])
    return Video(frames, fps=8.0)


@dataclass
class ScriptedModel:
    """Replies "Look: here", an image, audio, "Nice?"; raises an error for messages with the word "refuse"."""

    received: list[Conversation] = field(default_factory=list)

    def stream(self, content: Conversation, sampling: Sampling) -> Iterator[Event]:
        """Yield the events of the reply."""
        if "refuse" in content.messages[-1].text:
            raise ConversationError("Got 'refuse'; expected another word. Say something else.")
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
        """Collect the events of :meth:`stream`."""
        print("a library that prints")
        return next(event.reply for event in self.stream(content, sampling) if isinstance(event, ReplyFinished))
