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
from nextgpt.miniworld.language.templates import TemplateSet, load_templates
from nextgpt.miniworld.language.types import DialogueTurn
from nextgpt.miniworld.objects import OBJECTS

TEMPLATES = load_templates("facts")


def fact_request(state: DialogueState, category: str | None = None) -> DialogueTurn:
    """Sample a request for a fact about an object kind of ``category``; None means any."""
    last = state.turns[-1] if state.turns else None
    if last is not None and last.topic and last.task == "facts" and category is None and state.bernoulli(0.5):
        return _more(state, last.topic, last.assistant)
    name = state.choice([kind.name for kind in OBJECTS.values() if category in (None, kind.category)])
    fact = state.choice(OBJECTS[name].facts)
    return DialogueTurn(
        "facts",
        (state.phrase(TEMPLATES["tell_me"], things=all_of_kind(name)),),
        (fact,),
        (_key_words(*OBJECTS[name].facts),),
        topic=name,
    )


def _more(state: DialogueState, name: str, fact: tuple[object, ...]) -> DialogueTurn:
    """Ask for the other fact about the same topic."""
    other_facts = [sentence for sentence in OBJECTS[name].facts if sentence not in fact]
    words = state.phrase(TEMPLATES["more"], things=all_of_kind(name))
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
        words = state.phrase(_agreeing(TEMPLATES["what_is"], is_or_are), thing=any_of_kind(name))
        return DialogueTurn("facts", (words,), (_capital(sentence),), ((category,),), topic=name)
    candidate = category if state.bernoulli(0.5) else state.choice(CERTAIN_CATEGORIES)
    words = state.phrase(
        _agreeing(TEMPLATES["is_it"], is_or_are), thing=any_of_kind(name), category=CATEGORY_PHRASES[candidate]
    )
    polarity = "Yes" if candidate == category else "No"
    return DialogueTurn("facts", (words,), (f"{polarity}, {sentence}",), ((polarity,), (category,)), topic=name)


def riddle(state: DialogueState) -> DialogueTurn:
    """Sample a riddle whose answer is an object."""
    does = state.choice(tuple(riddle_answers()))
    name = riddle_answers()[does]
    sentence = f"{_capital(any_of_kind(name))} {does}."
    words = state.phrase(TEMPLATES["riddle"], does=does, category=OBJECTS[name].category)
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
        does: name for does, name, category in predicates if counts[does] == 1 and category not in ("nature", "shape")
    }


def _agreeing(templates: TemplateSet, is_or_are: str) -> TemplateSet:
    return templates.map(lambda template: template.replace("[is|are]", is_or_are))


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
