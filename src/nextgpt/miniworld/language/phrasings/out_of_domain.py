"""Requests for what the small world lacks, in the same templates as requests for what it has.

The answer names what is unknown and what is available instead. As known and unknown things share templates, a model
learns to look at the thing and not at the template.
"""

from __future__ import annotations

from functools import cache

from nextgpt.miniworld.language.lexicon import article, indefinite, is_instrument, listed, noun, plural
from nextgpt.miniworld.language.out_of_domain import KEY_WORDS, UNKNOWN
from nextgpt.miniworld.language.phrasings import noun_phrases as phrases
from nextgpt.miniworld.language.phrasings.author import (
    AUTHOR_SPLITS,
    KNOWN_INTENTS,
    UNKNOWN_INTENTS,
    read_authors,
    shared_phrasings,
)
from nextgpt.miniworld.language.phrasings.state import PhrasedState
from nextgpt.miniworld.language.types import DialogueTurn
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.specs import BACKGROUNDS, MOTIONS, SOURCES, TINTS, WORD_SOURCES

TASK = "out_of_domain"
KNOWN_INTENT_RATE = 0.6
PROPER_NAME_RATE = 0.3
"""Probability that an unknown thing is a person, a character, a place or a work."""
_MANY = ("four", "five", "six", "seven", "ten", "4", "5", "10", "a dozen")


def request_unknown(state: PhrasedState) -> DialogueTurn | None:
    """Request an unknown thing, sound or word, or more objects than an image can have."""
    kind = int(state.rng.integers(12))
    if kind < 2:
        return _too_many(state) if kind == 0 else _unknown_word(state)
    modality = "image" if kind < 7 else "audio" if kind < 10 else "video"
    is_proper = modality != "audio" and state.bernoulli(PROPER_NAME_RATE)
    name = state.choice(UNKNOWN["names"].train) if is_proper else _unknown_name(state, modality)
    own, known = UNKNOWN_INTENTS[modality], KNOWN_INTENTS[modality]
    thing = name if is_proper else _thing(state, modality, name)
    if state.author.has(own) and not state.bernoulli(KNOWN_INTENT_RATE):
        words = state.phrase_request(own, x=thing)
    elif state.author.has(known):
        words = state.phrase_request(known, what=_noun_phrase(state, modality, name, thing))
    else:
        return None
    return state.text_turn(TASK, words, decline(modality, name if is_proper else indefinite(name)), KEY_WORDS)


def decline(modality: str, thing: str) -> str:
    """Return the answer to a request for an unknown thing, with what is available instead."""
    if modality == "audio":
        examples = "for example a piano, a bell or a bird"
        return f"I do not know how {thing} sounds. I can play {len(SOURCES)} sounds, {examples}."
    return f"I do not know how {thing} looks. I can draw {len(OBJECTS)} things, for example a cat, a piano or a car."


def _unknown_name(state: PhrasedState, modality: str) -> str:
    """Sample the noun of something unknown: in some cases an object without a sound, or a source without an image."""
    if modality == "audio":
        silent = [
            noun(kind.name)
            for kind in OBJECTS.values()
            if kind.sound is None and kind.category in ("animal", "vehicle", "thing")
        ]
        return state.choice(silent if state.bernoulli(0.35) else unknown_names(UNKNOWN["sounds"].train))
    invisible = [source for source in SOURCES if is_instrument(source) and source not in OBJECTS]
    return state.choice(invisible if state.bernoulli(0.08) else unknown_names(UNKNOWN["things"].train))


@cache
def unknown_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return ``names`` without those that some author, or anybody, uses for a known object or source."""
    authors = [author for split in AUTHOR_SPLITS for author in read_authors(split)]
    synonyms = [words for author in authors for words in (author.synonyms.nouns, author.synonyms.sources)]
    known = {
        word.lower() for one in (*synonyms, shared_phrasings()["nouns"]) for words in one.values() for word in words
    }
    # Words for sources have their article.
    heads = known | {word.partition(" ")[2] for word in known}
    return tuple(name for name in names if name.lower() not in heads)


def _thing(state: PhrasedState, modality: str, name: str) -> str:
    if modality == "image" and state.bernoulli(0.2):
        color = state.choice(TINTS[1:])
        return f"{article(color)} {color} {name}"
    return indefinite(name)


def _noun_phrase(state: PhrasedState, modality: str, name: str, thing: str) -> str:
    """Return ``thing``, which is called ``name``, in what a person may say about a medium of it."""
    if modality == "audio":
        # Without a word for sound, a known object may be meant as an image.
        return f"the sound of {thing}" if name in OBJECTS or state.bernoulli(0.3) else thing
    if modality == "video":
        return f"{thing} {phrases.motion_forms(state, state.choice(MOTIONS))[0]}"
    if not state.bernoulli(0.2):
        return thing
    return f"{thing} {phrases.background_phrase(state, state.choice(BACKGROUNDS))}"


def _too_many(state: PhrasedState) -> DialogueTurn | None:
    if not state.author.has("image"):
        return None
    many = f"{state.choice(_MANY)} {plural(state.choice(tuple(OBJECTS)))}"
    answer = f"I do not know how to draw {many} in one picture. I can draw up to three things."
    return state.text_turn(TASK, state.phrase_request("image", what=many), answer, KEY_WORDS)


def _unknown_word(state: PhrasedState) -> DialogueTurn | None:
    if not state.author.has("speech"):
        return None
    word = state.choice(UNKNOWN["words"].train)
    known = listed([source.removeprefix("the word ") for source in WORD_SOURCES])
    answer = f"I do not know how to say {word}. I can say {known}."
    return state.text_turn(TASK, state.phrase_intent("speech", word=word), answer, KEY_WORDS)
