"""Language about the small world: captions, questions, requests, edits and dialogues.

Everything is sampled from a numpy generator and a split; training and evaluation convert dialogues to their
own types.
"""

from nextgpt.miniworld.language.canonical_captions import canonical_caption, parse_caption
from nextgpt.miniworld.language.captions import caption
from nextgpt.miniworld.language.descriptions import describe, in_reading_order
from nextgpt.miniworld.language.dialogue_sampler import TASKS, sample_dialogue
from nextgpt.miniworld.language.types import Dialogue, DialogueTurn, MediaPart, TurnPart, attributes, difference

__all__ = [
    "TASKS",
    "Dialogue",
    "DialogueTurn",
    "MediaPart",
    "TurnPart",
    "attributes",
    "canonical_caption",
    "caption",
    "describe",
    "difference",
    "in_reading_order",
    "parse_caption",
    "sample_dialogue",
]
