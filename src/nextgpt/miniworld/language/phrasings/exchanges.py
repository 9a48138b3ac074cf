"""Other colors, objects and instruments in messages that authors wrote as a whole.

A word is exchanged only where both the message and its labels name it once. A message with an unknown thing in place
of its object is declined, and one with an object in the place of an unknown thing is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from functools import cache

from nextgpt.miniworld.language.lexicon import article, indefinite, is_instrument, noun, plural
from nextgpt.miniworld.language.out_of_domain import UNKNOWN
from nextgpt.miniworld.language.phrasings.labels import AudioLabel, ImageLabel, ObjectLabel, WrittenTurn, object_labels
from nextgpt.miniworld.language.phrasings.out_of_domain import unknown_names
from nextgpt.miniworld.language.phrasings.state import PhrasedState
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.specs import BACKGROUNDS, INSTRUMENT_SOURCES, PLACES, SIZES, TINTS

EXCHANGE_RATE = 0.6
"""Probability that words of a message may be exchanged; about four of ten messages have words for that."""
EXCHANGED_RATE = 0.7
"""Probability that a word is exchanged if it may be."""
UNKNOWN_RATE = 0.2
"""Probability that the only object of a message is exchanged for an unknown thing."""
KNOWN_RATE = 0.5
"""Probability that an unknown thing is exchanged for an object if the message says nothing else about it."""
_ATTRIBUTE_WORDS = frozenset({*TINTS, *BACKGROUNDS, *PLACES, *SIZES, "big", "huge", "tiny", "little", "giant"})
_CONTEXT = re.compile(r"\b(with|in|on|at|and|by|near|from|over|under|of|who|that|which|\w+ing)\b", re.I)
"""Words after which a message may say more about a thing than its name."""


def exchange_words(state: PhrasedState, item: WrittenTurn) -> WrittenTurn:
    """Return a request for media with other colors, objects and instruments, at times to be declined."""
    if not state.bernoulli(EXCHANGE_RATE):
        return item
    objects = list(dict.fromkeys(part.object for part in object_labels(item.want) if part.object))
    if len(objects) == len(item.want) == 1 and state.bernoulli(UNKNOWN_RATE):
        return _with_unknown(state, item, objects[0])
    for attribute, (values_of, words) in _EXCHANGES.items():
        for old in values_of(item):
            # Words of the labels too: they may have another name in the message.
            taken = {value.lower() for value in _values(item, attribute)}
            others = [word for word in words() if word not in item.text.lower() and word not in taken]
            if others and state.bernoulli(EXCHANGED_RATE):
                item = _exchanged(item, attribute, old, state.choice(others))
    return item


def exchange_unknown(state: PhrasedState, item: WrittenTurn) -> WrittenTurn:
    """Return a declined request with another unknown thing, or with an object, which is no longer declined."""
    assert item.decline is not None
    modality, thing = item.decline
    name = re.sub(r"^an? ", "", thing)
    if name == thing or not state.bernoulli(EXCHANGE_RATE):
        return item
    if modality == "image" and state.bernoulli(KNOWN_RATE) and not _says_more(item.text, name):
        known = state.choice(_countable())
        text = replace_word(item.text, name, known)
        wanted = ImageLabel(modality="image", objects=(ObjectLabel(object=known),))
        return item if text is None else WrittenTurn(text=text, want=(wanted,))
    unknown = state.choice(_unknown_things(modality))
    text = replace_word(item.text, name, unknown)
    return item if text is None else WrittenTurn(text=text, decline=(modality, indefinite(unknown)))


def replace_word(text: str, old: str, new: str) -> str | None:
    """Return ``text`` with ``new`` for ``old``, after an article that agrees.

    None unless ``old`` occurs exactly once, and no other form of it.
    """
    forms = "|".join(map(re.escape, (plural(old), old)))
    if len(re.findall(rf"\b(?:{forms})(?:['’]s)?\b", text, re.I)) != 1:
        return None
    pattern = re.compile(rf"(?:\b(?P<article>an?)\s+)?(?<![\w'-])(?P<word>{re.escape(old)})(?![\w'’-])", re.I)

    def insert(match: re.Match[str]) -> str:
        word = _in_case_of(match["word"], new)
        return word if match["article"] is None else f"{_in_case_of(match['article'], article(new))} {word}"

    replaced, count = pattern.subn(insert, text)
    return replaced if count else None


def _in_case_of(written: str, word: str) -> str:
    if len(written) > 1 and written.isupper():
        return word.upper()
    return word[:1].upper() + word[1:] if written.istitle() else word


def _sources(item: WrittenTurn) -> set[str]:
    return {label.source for label in item.want if isinstance(label, AudioLabel) and label.source}


def _exchangeable_tints(item: WrittenTurn) -> list[str]:
    backgrounds = {label.background for label in item.want if not isinstance(label, AudioLabel)}
    return sorted({part.tint for part in object_labels(item.want) if part.tint} - backgrounds)


def _exchangeable_objects(item: WrittenTurn) -> list[str]:
    names = dict.fromkeys(part.object for part in object_labels(item.want) if part.object)
    return [name for name in names if name in _countable() and OBJECTS[name].sound not in _sources(item)]


def _exchangeable_instruments(item: WrittenTurn) -> list[str]:
    objects = {part.object for part in object_labels(item.want)}
    return sorted(source for source in _sources(item) - objects if is_instrument(source))


def _values(item: WrittenTurn, attribute: str) -> set[str]:
    labels = [*object_labels(item.want), *item.want]
    if attribute == "tint":
        return {value for label in labels for name in ("tint", "background") if (value := getattr(label, name, None))}
    return {value for label in labels for name in ("object", "source") if (value := getattr(label, name, None))}


def _with_unknown(state: PhrasedState, item: WrittenTurn, name: str) -> WrittenTurn:
    """Return ``item`` with an unknown thing in place of its object, to be declined."""
    unknown = state.choice(_unknown_things("image"))
    text = replace_word(item.text, name, unknown)
    if text is None:
        return item
    return WrittenTurn(text=text, decline=(item.want[0].modality, indefinite(unknown)))


def _says_more(text: str, name: str) -> bool:
    """Return True if ``text`` may state attributes of ``name``, which a label of its name alone would lack."""
    if _CONTEXT.search(text[text.lower().find(name.lower()) + len(name) :]):
        return True
    return not _ATTRIBUTE_WORDS.isdisjoint(re.findall(r"\w+", text.lower()))


@cache
def _unknown_things(modality: str) -> tuple[str, ...]:
    return unknown_names(UNKNOWN["sounds" if modality == "audio" else "things"].train)


@cache
def _countable() -> tuple[str, ...]:
    """Return the objects that one can put ``a`` before."""
    return tuple(name for name in OBJECTS if noun(name) == name and indefinite(name) != name)


def _exchanged(item: WrittenTurn, attribute: str, old: str, new: str) -> WrittenTurn:
    """Return ``item`` with ``new`` for ``old`` in words and labels; unchanged if the words do not have it once."""
    text = replace_word(item.text, old, new)
    if text is None:
        return item

    def exchange(value: object, key: str = "") -> object:
        if isinstance(value, dict):
            return {name: exchange(inner, name) for name, inner in value.items()}
        if isinstance(value, (list, tuple)):
            return [exchange(inner) for inner in value]
        return new if key == attribute and value == old else value

    values = item.model_dump(exclude_none=True)
    return WrittenTurn.model_validate({**values, "text": text, "want": exchange(values["want"])})


_EXCHANGES: Mapping[str, tuple[Callable[[WrittenTurn], list[str]], Callable[[], Collection[str]]]] = {
    "tint": (_exchangeable_tints, lambda: TINTS[1:]),
    "object": (_exchangeable_objects, _countable),
    "source": (_exchangeable_instruments, lambda: INSTRUMENT_SOURCES),
}
"""Values of a message that may be exchanged, and the words to choose from, by attribute."""
