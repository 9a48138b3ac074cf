"""Content that the embedded models can generate and describe, for people: from the data of the small world."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nextgpt.miniworld.language.canonical_captions import MOTION_WORDS
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.specs import BACKGROUNDS, PATTERNS, PLACES, SOURCES, TINTS

MODELS = ("nano", "small")
"""Embedded models whose media are those of the small world."""

EXAMPLES = (
    "Draw a red car on grass.",
    "Draw a blue dog on the left and a yellow cat on the right.",
    "Play a flute.",
    "Play a high piano.",
    "Make a video of a green ball moving to the right.",
)
"""Requests that nano follows; a test judges the replies."""


@dataclass(frozen=True)
class Knowledge:
    """The values of every attribute, in words."""

    objects: tuple[str, ...]
    colours: tuple[str, ...]
    backgrounds: tuple[str, ...]
    places: tuple[str, ...]
    sounds: tuple[str, ...]
    patterns: tuple[str, ...]
    motions: tuple[str, ...]
    examples: tuple[str, ...]

    def lines(self) -> Iterator[str]:
        """Yield one line per attribute, then the examples."""
        for name, values in vars(self).items():
            if name != "examples":
                yield f"{name} ({len(values)}): {', '.join(values)}"
        yield "examples:"
        yield from (f"  {example}" for example in self.examples)


def knowledge_of(model: str) -> Knowledge | None:
    """Return the contents that an embedded model was trained on; ``None`` for other models."""
    if model not in MODELS:
        return None
    return Knowledge(
        objects=tuple(OBJECTS),
        colours=tuple(tint for tint in TINTS if tint != "natural"),
        backgrounds=BACKGROUNDS,
        places=PLACES,
        sounds=SOURCES,
        patterns=PATTERNS,
        motions=tuple(MOTION_WORDS.values()),
        examples=EXAMPLES,
    )
