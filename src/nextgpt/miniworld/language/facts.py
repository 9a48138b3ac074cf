"""What is known about the kinds of objects: facts, what kind of thing something is, and riddles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache

from nextgpt.miniworld.language.dialogue import Turn
from nextgpt.miniworld.language.phrasing import Phrasings
from nextgpt.miniworld.language.talk import Talk
from nextgpt.miniworld.language.wording import (
    ASKED_CATEGORIES,
    CATEGORY_PHRASES,
    PLURAL_NAMES,
    generic,
    one,
)
from nextgpt.miniworld.objects import OBJECTS

TELL = Phrasings(
    (
        "tell me something about {things}.",
        "what do you know about {things}?",
        "tell me about {things}.",
        "[can|could] you tell me something about {things}?",
        "do you know anything about {things}?",
        "I want to know something about {things}.",
        "a fact about {things}[, please|].",
    ),
    held_out=(
        "tell me a fact about {things}.",
        "[can|could] you tell me about {things}?",
        "I want to know about {things}.",
    ),
)
MORE = Phrasings(
    (
        "tell me more[ about {things}|].",
        "what else do you know[ about {things}|]?",
        "anything else?",
        "more[, please|].",
    ),
    held_out=("do you know more[ about {things}|]?", "tell me something else[ about {things}|]."),
)
WHAT_IS = Phrasings(
    ("what [is|are] {thing}?", "what kind of thing [is|are] {thing}?", "do you know what {thing} [is|are]?"),
    held_out=("tell me what {thing} [is|are].", "[can|could] you tell me what {thing} [is|are]?"),
)
IS_IT = Phrasings(
    (
        "[is|are] {thing} {category}?",
        "do you think that {thing} [is|are] {category}?",
        "tell me if {thing} [is|are] {category}.",
    ),
    held_out=(
        "do you know if {thing} [is|are] {category}?",
        "I think that {thing} [is|are] {category}, right?",
    ),
)
RIDDLE = Phrasings(
    (
        "what {does}?",
        "which {category} {does}?",
        "do you know what {does}?",
        "a riddle: what {does}?",
        "tell me what {does}.",
    ),
    held_out=(
        "do you know which {category} {does}?",
        "tell me which {category} {does}.",
        "what is it that {does}?",
    ),
)


def fact(talk: Talk, category: str | None = None) -> Turn:
    """A request to tell something about a kind of object, of ``category`` where it is not None."""
    last = talk.turns[-1] if talk.turns else None
    if last is not None and last.topic and last.task == "facts" and category is None and talk.chance(0.5):
        return _more(talk, last.topic, last.assistant)
    name = talk.choose([kind.name for kind in OBJECTS.values() if category in (None, kind.category)])
    told = talk.choose(OBJECTS[name].facts)
    return Turn(
        "facts", (talk.say(TELL, things=generic(name)),), (told,), (_said(*OBJECTS[name].facts),), topic=name
    )


def _more(talk: Talk, name: str, told: tuple[object, ...]) -> Turn:
    """The other fact about what was talked about."""
    others = [sentence for sentence in OBJECTS[name].facts if sentence not in told]
    words = talk.say(MORE, things=generic(name))
    return Turn("facts", (words,), (others[0],), (_said(*OBJECTS[name].facts),), topic=name)


def _said(*sentences: str) -> tuple[str, ...]:
    return tuple(sentence.removesuffix(".") for sentence in sentences)


def kind_question(talk: Talk) -> Turn:
    """What kind of thing something is."""
    name = talk.choose([kind.name for kind in OBJECTS.values() if kind.category in ASKED_CATEGORIES])
    category = OBJECTS[name].category
    is_or_are = "are" if name in PLURAL_NAMES else "is"
    sentence = f"{one(name)} {is_or_are} {CATEGORY_PHRASES[category]}."
    if talk.chance(0.5):
        words = talk.say(_agreeing(WHAT_IS, is_or_are), thing=one(name))
        return Turn("facts", (words,), (_capital(sentence),), ((category,),), topic=name)
    asked = category if talk.chance(0.5) else talk.choose(ASKED_CATEGORIES)
    words = talk.say(_agreeing(IS_IT, is_or_are), thing=one(name), category=CATEGORY_PHRASES[asked])
    yes = "Yes" if asked == category else "No"
    return Turn("facts", (words,), (f"{yes}, {sentence}",), ((yes,), (category,)), topic=name)


def riddle(talk: Talk) -> Turn:
    """A fact whose object is to be guessed."""
    does = talk.choose(tuple(riddles()))
    name = riddles()[does]
    sentence = f"{_capital(one(name))} {does}."
    words = talk.say(RIDDLE, does=does, category=OBJECTS[name].category)
    return Turn("facts", (words,), (sentence,), ((name,),), topic=name)


@cache
def riddles() -> dict[str, str]:
    """What only one kind of object is or does, to that kind: ``{"has whiskers": "cat"}``."""
    told = [
        (told.removeprefix(start).removesuffix("."), kind.name, kind.category)
        for kind in OBJECTS.values()
        for told in kind.facts
        for start in [f"{_capital(one(kind.name))} "]
        if told.startswith(start) and kind.name not in PLURAL_NAMES
    ]
    counts = Counter(does for does, _, _ in told)
    return {
        does: name
        for does, name, category in told
        if counts[does] == 1 and category not in ("nature", "shape")
    }


def _agreeing(phrasings: Phrasings, is_or_are: str) -> Phrasings:
    trained, held_out = (
        tuple(pattern.replace("[is|are]", is_or_are) for pattern in patterns)
        for patterns in (phrasings.trained, phrasings.held_out)
    )
    return Phrasings(trained, held_out)


def _capital(words: str) -> str:
    return words[0].upper() + words[1:]


FACTS: tuple[Callable[[Talk], Turn], ...] = (fact, fact, kind_question, riddle)


def facts(talk: Talk) -> Turn:
    """Any question about what is known of the kinds of objects."""
    return talk.choose(FACTS)(talk)
