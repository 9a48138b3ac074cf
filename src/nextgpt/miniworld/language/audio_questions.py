"""Questions about audio: each function computes the answer, or None if it is ambiguous."""

from __future__ import annotations

from nextgpt.miniworld.language.descriptions import pattern_phrase
from nextgpt.miniworld.language.dialogue_state import DialogueState
from nextgpt.miniworld.language.lexicon import PATTERN_FORMS, definite_source, is_instrument, source_phrase, yes_or_no
from nextgpt.miniworld.language.types import QuestionAnswer
from nextgpt.miniworld.specs import PITCHES, SOURCES, TIMED_PATTERNS, WORD_SOURCES, MediaSpec, SoundSpec


def what_sound(state: DialogueState, spec: MediaSpec) -> QuestionAnswer | None:
    """Name the source."""
    assert isinstance(spec, SoundSpec)
    return QuestionAnswer(f"It is {source_phrase(spec.source)}.", ((spec.source,),))


def which_instrument(state: DialogueState, spec: MediaSpec) -> QuestionAnswer | None:
    """Name the instrument, if it is one."""
    assert isinstance(spec, SoundSpec)
    return what_sound(state, spec) if is_instrument(spec.source) else None


def which_word(state: DialogueState, spec: MediaSpec) -> QuestionAnswer | None:
    """Name the spoken word, if it is one."""
    assert isinstance(spec, SoundSpec)
    return what_sound(state, spec) if spec.source in WORD_SOURCES else None


def is_source(state: DialogueState, spec: MediaSpec) -> QuestionAnswer | None:
    """Confirm or deny a source."""
    assert isinstance(spec, SoundSpec)
    candidate = spec.source if state.bernoulli(0.5) else state.choice([s for s in SOURCES if s != spec.source])
    is_match = candidate == spec.source
    answer = f"{yes_or_no(is_match)}, it is {source_phrase(spec.source)}."
    return QuestionAnswer(answer, ((yes_or_no(is_match),), (spec.source,)), {"source": source_phrase(candidate)})


def how_high(state: DialogueState, spec: MediaSpec) -> QuestionAnswer | None:
    """Name the pitch."""
    assert isinstance(spec, SoundSpec)
    return QuestionAnswer(f"The pitch is {spec.pitch}.", ((spec.pitch,),), {"source": definite_source(spec.source)})


def is_pitched(state: DialogueState, spec: MediaSpec) -> QuestionAnswer | None:
    """Confirm or deny a pitch."""
    assert isinstance(spec, SoundSpec)
    candidate = spec.pitch if state.bernoulli(0.5) else state.choice(PITCHES)
    is_match = candidate == spec.pitch
    answer = f"{yes_or_no(is_match)}, the pitch is {spec.pitch}."
    return QuestionAnswer(answer, ((yes_or_no(is_match),), (spec.pitch,)), {"pitch": candidate})


def which_pattern(state: DialogueState, spec: MediaSpec) -> QuestionAnswer | None:
    """Name the pattern, with its speed if it has one."""
    assert isinstance(spec, SoundSpec)
    key_word = PATTERN_FORMS[spec.pattern][0]
    return QuestionAnswer(f"It is heard {pattern_phrase(spec)}.", ((key_word,),))


def how_fast(state: DialogueState, spec: MediaSpec) -> QuestionAnswer | None:
    """Name the speed of a pattern of several notes."""
    assert isinstance(spec, SoundSpec)
    if spec.pattern not in TIMED_PATTERNS:
        return None
    return QuestionAnswer(f"It is {spec.speed}.", ((spec.speed,),))
