"""What a question about a content is answered with, shared by all questions."""

from __future__ import annotations

from dataclasses import dataclass, field

from nextgpt.miniworld.language.lexicon import noun, plural

KeyWordGroups = tuple[tuple[str, ...], ...]
"""Key words: at least one phrase of each group must be said."""


@dataclass(frozen=True)
class QuestionAnswer:
    """One question about one content."""

    answer: str
    key_words: KeyWordGroups
    values: dict[str, str] = field(default_factory=dict)
    """What stands in the braces of the phrasing."""


def object_names(name: str) -> tuple[str, ...]:
    """The words by which an answer names an object."""
    return noun(name), plural(name), name


def yes_or_no(is_so: bool) -> str:
    """``Yes`` or ``No``."""
    return "Yes" if is_so else "No"
