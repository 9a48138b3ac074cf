"""Small talk, and answers about the model itself. One table row per topic, always with the same answer."""

from __future__ import annotations

from dataclasses import dataclass

from nextgpt.miniworld.language.dialogue_state import DialogueState
from nextgpt.miniworld.language.lexicon import listed
from nextgpt.miniworld.language.templates import TemplateSet, load_templates
from nextgpt.miniworld.language.types import DialogueTurn
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.specs import BACKGROUNDS, MOTIONS, SOURCES, TINTS


@dataclass(frozen=True)
class Topic:
    """A topic: templates, answer and required phrase."""

    templates: TemplateSet
    answer: str
    key_phrase: str


_ANSWERS = {
    "greeting": ("Hello! What shall I draw or play for you?", "hello"),
    "farewell": ("Goodbye! See you soon.", "goodbye"),
    "thanks": ("You are welcome.", "welcome"),
    "praise": ("I am glad that you like it.", "glad"),
    "complaint": ("I am sorry. Tell me what I shall change.", "sorry"),
    "mood": ("I am fine, thank you.", "fine"),
    "identity": ("I am nano, a small model for text, pictures, sounds and videos.", "nano"),
    "abilities": (
        "I can draw pictures, play sounds, make videos, change them and answer questions about them.",
        "draw pictures",
    ),
    "origin": ("I was trained on a small world of pictures, sounds and videos.", "trained"),
    "human": ("No, I am a small computer model.", "model"),
    "languages": ("I only speak English.", "English"),
    "objects": (f"I can draw {len(OBJECTS)} things, for example cat, piano and car.", str(len(OBJECTS))),
    "sounds": (f"I can play {len(SOURCES)} sounds, for example piano, bell and bird.", str(len(SOURCES))),
    "motions": (f"I know {len(MOTIONS)} motions, for example spinning, growing and moving left.", str(len(MOTIONS))),
    "colors": (f"I know {listed(TINTS[1:])}.", listed(TINTS[1:])),
    "backgrounds": (f"I know {listed(BACKGROUNDS)}.", listed(BACKGROUNDS)),
}
"""Answer of each topic and the phrase that it must contain."""
TOPICS = {name: Topic(templates, *_ANSWERS[name]) for name, templates in load_templates("smalltalk").items()}


def small_talk(state: DialogueState, topic: str | None = None) -> DialogueTurn:
    """Sample small talk about ``topic``; None means any."""
    topic_row = TOPICS[topic] if topic else state.choice(tuple(TOPICS.values()))
    return DialogueTurn(
        "small_talk", (state.phrase(topic_row.templates),), (topic_row.answer,), ((topic_row.key_phrase,),)
    )
