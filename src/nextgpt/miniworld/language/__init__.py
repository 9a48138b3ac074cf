"""What can be said about the small world: captions, questions, requests, edits and dialogues.

Everything is drawn from a generator of numpy and a split; trainings and tests turn dialogues into what they need.
"""

from nextgpt.miniworld.language.canonical_captions import canonical_caption, parse_caption
from nextgpt.miniworld.language.captions import caption
from nextgpt.miniworld.language.descriptions import describe, in_reading_order, parse_descriptions
from nextgpt.miniworld.language.dialogue_sampler import TASKS, sample_dialogue
from nextgpt.miniworld.language.types import (
    Dialogue,
    DialogueTurn,
    MediaPart,
    TurnPart,
    attributes,
    difference,
)

__all__ = [
    "TASKS",
    "Dialogue",
    "Say",
    "Shown",
    "Turn",
    "as_read",
    "attributes",
    "canonical_caption",
    "caption",
    "describe",
    "difference",
    "parse_caption",
    "read_descriptions",
    "sample_dialogue",
]
