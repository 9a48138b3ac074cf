"""Questions about what is heard: each gives its answer, or None where none is certain."""

from __future__ import annotations

from nextgpt.miniworld.language.asking import Asked, yes
from nextgpt.miniworld.language.descriptions import pattern_phrase
from nextgpt.miniworld.language.talk import Talk
from nextgpt.miniworld.language.wording import PATTERN_FORMS, definite_source, is_instrument, source_phrase
from nextgpt.miniworld.scene import PITCHES, SOURCES, TIMED_PATTERNS, WORD_SOURCES, Content, Sound


def what(talk: Talk, content: Content) -> Asked | None:
    """Which source is heard."""
    assert isinstance(content, Sound)
    return Asked(f"It is {source_phrase(content.source)}.", ((content.source,),))


def which_instrument(talk: Talk, content: Content) -> Asked | None:
    """Which instrument is heard, where it is one."""
    assert isinstance(content, Sound)
    return what(talk, content) if is_instrument(content.source) else None


def which_word(talk: Talk, content: Content) -> Asked | None:
    """Which word is said, where it is one."""
    assert isinstance(content, Sound)
    return what(talk, content) if content.source in WORD_SOURCES else None


def is_source(talk: Talk, content: Content) -> Asked | None:
    """Whether a certain source is heard."""
    assert isinstance(content, Sound)
    asked = content.source if talk.chance(0.5) else talk.choose([s for s in SOURCES if s != content.source])
    is_so = asked == content.source
    answer = f"{yes(is_so)}, it is {source_phrase(content.source)}."
    return Asked(answer, ((yes(is_so),), (content.source,)), {"source": source_phrase(asked)})


def how_high(talk: Talk, content: Content) -> Asked | None:
    """The pitch."""
    assert isinstance(content, Sound)
    return Asked(
        f"The pitch is {content.pitch}.", ((content.pitch,),), {"source": definite_source(content.source)}
    )


def is_pitched(talk: Talk, content: Content) -> Asked | None:
    """Whether the pitch is a certain one."""
    assert isinstance(content, Sound)
    asked = content.pitch if talk.chance(0.5) else talk.choose(PITCHES)
    is_so = asked == content.pitch
    answer = f"{yes(is_so)}, the pitch is {content.pitch}."
    return Asked(answer, ((yes(is_so),), (content.pitch,)), {"pitch": asked})


def which_pattern(talk: Talk, content: Content) -> Asked | None:
    """The pattern, with its speed where it has one."""
    assert isinstance(content, Sound)
    key_word = PATTERN_FORMS[content.pattern][0]
    return Asked(f"It is heard {pattern_phrase(content)}.", ((key_word,),))


def how_fast(talk: Talk, content: Content) -> Asked | None:
    """The speed, of patterns of several notes."""
    assert isinstance(content, Sound)
    if content.pattern not in TIMED_PATTERNS:
        return None
    return Asked(f"It is {content.speed}.", ((content.speed,),))
