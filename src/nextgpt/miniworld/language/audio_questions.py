"""Questions about what is heard: each gives its answer, or None where none is certain."""

from __future__ import annotations

from nextgpt.miniworld.language.descriptions import pattern_phrase
from nextgpt.miniworld.language.dialogue_state import DialogueState
from nextgpt.miniworld.language.lexicon import (
    PATTERN_FORMS,
    definite_source,
    is_instrument,
    source_phrase,
    yes_or_no,
)
from nextgpt.miniworld.language.types import QuestionAnswer
from nextgpt.miniworld.specs import PITCHES, SOURCES, TIMED_PATTERNS, WORD_SOURCES, MediaSpec, SoundSpec


def what_sound(talk: DialogueState, content: MediaSpec) -> QuestionAnswer | None:
    """Which source is heard."""
    assert isinstance(content, SoundSpec)
    return QuestionAnswer(f"It is {source_phrase(content.source)}.", ((content.source,),))


def which_instrument(talk: DialogueState, content: MediaSpec) -> QuestionAnswer | None:
    """Which instrument is heard, where it is one."""
    assert isinstance(content, SoundSpec)
    return what_sound(talk, content) if is_instrument(content.source) else None


def which_word(talk: DialogueState, content: MediaSpec) -> QuestionAnswer | None:
    """Which word is said, where it is one."""
    assert isinstance(content, SoundSpec)
    return what_sound(talk, content) if content.source in WORD_SOURCES else None


def is_source(talk: DialogueState, content: MediaSpec) -> QuestionAnswer | None:
    """Whether a certain source is heard."""
    assert isinstance(content, SoundSpec)
    asked = (
        content.source if talk.bernoulli(0.5) else talk.choice([s for s in SOURCES if s != content.source])
    )
    is_so = asked == content.source
    answer = f"{yes_or_no(is_so)}, it is {source_phrase(content.source)}."
    return QuestionAnswer(answer, ((yes_or_no(is_so),), (content.source,)), {"source": source_phrase(asked)})


def how_high(talk: DialogueState, content: MediaSpec) -> QuestionAnswer | None:
    """The pitch."""
    assert isinstance(content, SoundSpec)
    return QuestionAnswer(
        f"The pitch is {content.pitch}.", ((content.pitch,),), {"source": definite_source(content.source)}
    )


def is_pitched(talk: DialogueState, content: MediaSpec) -> QuestionAnswer | None:
    """Whether the pitch is a certain one."""
    assert isinstance(content, SoundSpec)
    asked = content.pitch if talk.bernoulli(0.5) else talk.choice(PITCHES)
    is_so = asked == content.pitch
    answer = f"{yes_or_no(is_so)}, the pitch is {content.pitch}."
    return QuestionAnswer(answer, ((yes_or_no(is_so),), (content.pitch,)), {"pitch": asked})


def which_pattern(talk: DialogueState, content: MediaSpec) -> QuestionAnswer | None:
    """The pattern, with its speed where it has one."""
    assert isinstance(content, SoundSpec)
    key_word = PATTERN_FORMS[content.pattern][0]
    return QuestionAnswer(f"It is heard {pattern_phrase(content)}.", ((key_word,),))


def how_fast(talk: DialogueState, content: MediaSpec) -> QuestionAnswer | None:
    """The speed, of patterns of several notes."""
    assert isinstance(content, SoundSpec)
    if content.pattern not in TIMED_PATTERNS:
        return None
    return QuestionAnswer(f"It is {content.speed}.", ((content.speed,),))
