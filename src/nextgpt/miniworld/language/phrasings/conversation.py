"""Turns without a medium: small talk, questions about the dialogue, general questions, missing media."""

from __future__ import annotations

from nextgpt.miniworld.language.descriptions import describe, with_own_colors
from nextgpt.miniworld.language.lexicon import object_names
from nextgpt.miniworld.language.out_of_domain import unknown_fact_answer
from nextgpt.miniworld.language.phrasings import free_form
from nextgpt.miniworld.language.phrasings import noun_phrases as phrases
from nextgpt.miniworld.language.phrasings.filling import fill
from nextgpt.miniworld.language.phrasings.state import PhrasedState
from nextgpt.miniworld.language.types import DialogueTurn, KeyWordGroups
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.specs import TINTS, ClipSpec, MediaSpec, SoundSpec

GENERAL = "general"
"""Task of turns that a general language model answers by itself; their answers here are those of a small model."""
_MISSING: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "image": (
        "I see no picture yet. Please show me one, or ask me to draw something.",
        "no picture",
        ("edit_color", "edit_size_up", "q_color", "q_background", "edit_background"),
    ),
    "audio": (
        "I hear no sound yet. Please play me one, or ask me for a sound.",
        "no sound",
        ("edit_higher", "edit_lower", "q_sound_pitch", "edit_faster"),
    ),
    "video": (
        "I see no video yet. Please show me one, or ask me for a video.",
        "no video",
        ("edit_reverse", "q_video_motion"),
    ),
}
"""Answer, key word and intents of requests about a medium that is missing."""
_REPLIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "greet": (
        "hello",
        ("Hello! What shall I draw or play for you?", "Hello! I can draw, play and film. What would you like?"),
    ),
    "bye": ("goodbye", ("Goodbye! See you soon.", "Goodbye! It was nice drawing and playing for you.")),
    "thanks": ("welcome", ("You are welcome.", "You are welcome. Shall I change anything?")),
    "praise": ("glad", ("I am glad that you like it.", "I am glad that you like it. Shall I make another?")),
    "complain": ("sorry", ("I am sorry. Tell me what I shall change.",)),
    "how_are_you": ("fine", ("I am fine, thank you. What shall I make for you?",)),
    "who_are_you": ("assistant", ("I am a small assistant for text, pictures, sounds and videos.",)),
    "what_can_you": (
        "draw pictures",
        ("I can draw pictures, play sounds, make videos, change them and answer questions about them.",),
    ),
    "are_you_human": ("model", ("No, I am a small computer model that draws, plays and films.",)),
    "bored": (
        "",
        (
            "Shall I draw a cat, play a piano or make a video of a rocket moving up?",
            "How about a picture of a dog on grass, or the sound of a harp?",
        ),
    ),
}
"""Key word and answers of each topic of small talk."""


def small_talk(state: PhrasedState) -> DialogueTurn | None:
    """Sample small talk."""
    topics = [topic for topic in _REPLIES if state.author.talk.get(topic)]
    if not topics:
        return None
    topic = state.choice(topics)
    return talk_turn(state, topic, state.typed(fill(state.rng, state.choice(state.author.talk[topic]), {})))


def talk_turn(state: PhrasedState, topic: str, words: str) -> DialogueTurn:
    """Answer small talk about one of :data:`.author.TOPICS`."""
    key_word, replies = _REPLIES[topic]
    return state.text_turn("small_talk", words, state.choice(replies), ((key_word,),) if key_word else ())


def general(state: PhrasedState) -> DialogueTurn | None:
    """Sample a general question or task in words only."""
    if state.bernoulli(state.free_form_rate):
        return state.text_turn(GENERAL, free_form.words_only(state), unknown_fact_answer())
    if not state.author.has(GENERAL):
        return None
    return state.text_turn(GENERAL, state.phrase_intent(GENERAL), unknown_fact_answer())


def recall(state: PhrasedState) -> DialogueTurn | None:
    """Ask what was requested first or last."""
    has_media = any(turn.target_media for turn in state.turns)
    which = state.choice(("first", "last"))
    intent = f"q_{which}_request"
    if not has_media or not state.author.has(intent):
        return None
    specs = [part.spec for part in state.turns[0 if which == "first" else -1].target_media]
    if not specs:
        return None
    told = [describe(with_own_colors(state.as_told(spec), state.own_colors)) for spec in specs]
    answer = f"{which.capitalize()} you asked for {' and '.join(told)}."
    return state.text_turn("recall", state.phrase_intent(intent), answer, object_key_words(specs[0]))


def object_key_words(spec: MediaSpec) -> KeyWordGroups:
    """Return the key words that name the objects or the source of a spec."""
    if isinstance(spec, SoundSpec):
        return ((spec.source,),)
    names = [spec.object] if isinstance(spec, ClipSpec) else [obj.object for obj in spec.objects]
    return tuple(dict.fromkeys(map(object_names, names)))


def missing(state: PhrasedState) -> DialogueTurn | None:
    """Ask about or edit a medium though there is none."""
    if state.media:
        return None
    answer, key_word, intents = _MISSING[state.choice(tuple(_MISSING))]
    values = {
        "color": phrases.color_word(state, state.choice(TINTS[1:])),
        "noun": phrases.bare_noun(state, state.choice(tuple(OBJECTS))),
        "background": phrases.background_phrase(state, "night"),
        "bg": "blue",
    }
    usable = [intent for intent in intents if state.usable_patterns(intent, values)]
    if not usable:
        return None
    words = state.phrase_intent(state.choice(usable), **values)
    return state.text_turn("missing", words, answer, ((key_word,),))
