"""What a question about a content is answered with, shared by all questions."""

from __future__ import annotations

from dataclasses import dataclass, field

from nextgpt.miniworld.language.wording import noun, plural

Groups = tuple[tuple[str, ...], ...]
"""Key words: at least one phrase of each group must be said."""


@dataclass(frozen=True)
class Asked:
    """One question about one content."""

    answer: str
    key_words: Groups
    values: dict[str, str] = field(default_factory=dict)
    """What stands in the braces of the phrasing."""


def names(name: str) -> tuple[str, ...]:
    """The words by which an answer names an object."""
    return noun(name), plural(name), name


def concluding(reason: str, is_so: bool) -> str:
    """``"The cat is red, so no."``: who speaks word by word knows yes from no only after the reason."""
    return f"{reason}, so {_verdict(is_so)}."


def verdict(is_so: bool) -> tuple[str, ...]:
    """What such an answer must say; a bare "no" may stand in the reason as well: a sound can be the word no."""
    return (f"so {_verdict(is_so)}",)


def _verdict(is_so: bool) -> str:
    return "yes" if is_so else "no"
