"""Facts about object kinds: statements, categories and riddles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache

from nextgpt.miniworld.language.dialogue_state import DialogueState
from nextgpt.miniworld.language.lexicon import (
    CATEGORY_PHRASES,
    CERTAIN_CATEGORIES,
    PLURAL_NAMES,
    all_of_kind,
    any_of_kind,
)
from nextgpt.miniworld.language.templates import TemplateSet
from nextgpt.miniworld.language.types import DialogueTurn
from nextgpt.miniworld.objects import OBJECTS

TELL_ME = TemplateSet(
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
MORE = TemplateSet(
    (
        "tell me more[ about {things}|].",
        "what else do you know[ about {things}|]?",
        "anything else?",
        "more[, please|].",
    ),
    held_out=("do you know more[ about {things}|]?", "tell me something else[ about {things}|]."),
)
WHAT_IS = TemplateSet(
    ("what [is|are] {thing}?", "what kind of thing [is|are] {thing}?", "do you know what {thing} [is|are]?"),
    held_out=("tell me what {thing} [is|are].", "[can|could] you tell me what {thing} [is|are]?"),
)
IS_IT = TemplateSet(
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
RIDDLE = TemplateSet(
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


def fact_request(state: DialogueState, category: str | None = None) -> DialogueTurn:
    """Sample a request for a fact about an object kind of ``category``; None means any."""
    last = state.turns[-1] if state.turns else None
    if last is not None and last.topic and last.task == "facts" and category is None and state.bernoulli(0.5):
        return _more(state, last.topic, last.assistant)
    name = state.choice([kind.name for kind in OBJECTS.values() if category in (None, kind.category)])
    fact = state.choice(OBJECTS[name].facts)
    return DialogueTurn(
        "facts",
        (state.phrase(TELL_ME, things=all_of_kind(name)),),
        (fact,),
        (_key_words(*OBJECTS[name].facts),),
        topic=name,
    )


def _more(state: DialogueState, name: str, fact: tuple[object, ...]) -> DialogueTurn:
    """Ask for the other fact about the same topic."""
    other_facts = [sentence for sentence in OBJECTS[name].facts if sentence not in fact]
    words = state.phrase(MORE, things=all_of_kind(name))
    return DialogueTurn("facts", (words,), (other_facts[0],), (_key_words(*OBJECTS[name].facts),), topic=name)


def _key_words(*sentences: str) -> tuple[str, ...]:
    return tuple(sentence.removesuffix(".") for sentence in sentences)


def kind_question(state: DialogueState) -> DialogueTurn:
    """Sample a question about the category of an object."""
    name = state.choice([kind.name for kind in OBJECTS.values() if kind.category in CERTAIN_CATEGORIES])
    category = OBJECTS[name].category
    is_or_are = "are" if name in PLURAL_NAMES else "is"
    sentence = f"{any_of_kind(name)} {is_or_are} {CATEGORY_PHRASES[category]}."
    if state.bernoulli(0.5):
        words = state.phrase(_agreeing(WHAT_IS, is_or_are), thing=any_of_kind(name))
        return DialogueTurn("facts", (words,), (_capital(sentence),), ((category,),), topic=name)
    candidate = category if state.bernoulli(0.5) else state.choice(CERTAIN_CATEGORIES)
    words = state.phrase(
        _agreeing(IS_IT, is_or_are), thing=any_of_kind(name), category=CATEGORY_PHRASES[candidate]
    )
    polarity = "Yes" if candidate == category else "No"
    return DialogueTurn(
        "facts", (words,), (f"{polarity}, {sentence}",), ((polarity,), (category,)), topic=name
    )


def riddle(state: DialogueState) -> DialogueTurn:
    """Sample a riddle whose answer is an object."""
    does = state.choice(tuple(riddle_answers()))
    name = riddle_answers()[does]
    sentence = f"{_capital(any_of_kind(name))} {does}."
    words = state.phrase(RIDDLE, does=does, category=OBJECTS[name].category)
    return DialogueTurn("facts", (words,), (sentence,), ((name,),), topic=name)


@cache
def riddle_answers() -> dict[str, str]:
    """Return the answer of each riddle: ``{"has whiskers": "cat"}``."""
    predicates = [
        (fact.removeprefix(start).removesuffix("."), kind.name, kind.category)
        for kind in OBJECTS.values()
        for fact in kind.facts
        for start in [f"{_capital(any_of_kind(kind.name))} "]
        if fact.startswith(start) and kind.name not in PLURAL_NAMES
    ]
    counts = Counter(does for does, _, _ in predicates)
    return {
        does: name
        for does, name, category in predicates
        if counts[does] == 1 and category not in ("nature", "shape")
    }


def _agreeing(templates: TemplateSet, is_or_are: str) -> TemplateSet:
    train, held_out = (
        tuple(pattern.replace("[is|are]", is_or_are) for pattern in patterns)
        for patterns in (templates.train, templates.held_out)
    )
    return TemplateSet(train, held_out)


def _capital(words: str) -> str:
    return words[0].upper() + words[1:]


FACT_QUESTIONS: tuple[Callable[[DialogueState], DialogueTurn], ...] = (
    fact_request,
    fact_request,
    kind_question,
    riddle,
)


def fact_question(state: DialogueState) -> DialogueTurn:
    """Sample any question about facts."""
    return state.choice(FACT_QUESTIONS)(state)
