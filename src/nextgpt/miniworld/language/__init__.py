"""What can be said about the small world: captions, questions, requests, edits and dialogues.

Everything is drawn from a generator of numpy and a split; trainings and tests turn dialogues into what they need.
"""

from nextgpt.miniworld.language.canonical import canonical_caption, parse_caption
from nextgpt.miniworld.language.captions import caption
from nextgpt.miniworld.language.descriptions import as_read, describe, read_descriptions
from nextgpt.miniworld.language.dialogue import Dialogue, Say, Shown, Turn, attributes, difference
from nextgpt.miniworld.language.dialogues import TASKS, sample_dialogue

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
