"""Filling of templates, and changes that make the result look typed: case, punctuation, typing errors."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from nextgpt.miniworld.language.lexicon import article
from nextgpt.miniworld.language.templates import expand_template

CAPITAL_RATE, LOWER_CASE_RATE, NO_STOP_RATE, NO_APOSTROPHE_RATE, TYPO_RATE = 0.25, 0.12, 0.25, 0.03, 0.05
MIN_TYPO_LETTERS = 5
_SLOT = re.compile(r"(?:\b(?P<article>[Aa]n?) )?\{(?P<name>\w+)\}")
_SOUND_TWICE = re.compile(r"\b(sounds?|noise|audio|recording|clip|effect)( clip| effect)? of the sound of\b", re.I)
_PRONOUN = re.compile(r"I(['’](d|m|ve|ll))?\Z")


def fill(rng: np.random.Generator, pattern: str, values: Mapping[str, str]) -> str:
    """Choose alternatives and fill slots; an article before a slot is made to agree with its value."""

    def insert(match: re.Match[str]) -> str:
        value, written = values[match["name"]], match["article"]
        if written is None:
            return value
        agreed = article(value)
        return f"{agreed.capitalize() if written[0] == 'A' else agreed} {value}"

    words = " ".join(_SLOT.sub(insert, expand_template(rng, pattern)).split())
    return _SOUND_TWICE.sub(lambda match: match[0][: -len(" the sound of")], words)


def decapitalize(words: str) -> str:
    """Make the first letter lower case; ``I`` and words in capitals stay."""
    first = words.split(" ", 1)[0]
    is_kept = _PRONOUN.match(first) or (len(first) > 1 and first.isupper())
    return words if is_kept else words[:1].lower() + words[1:]


def type_words(rng: np.random.Generator, words: str) -> str:
    """Return ``words`` as a person may type them: other case, no final stop, no apostrophes, a typing error."""
    draws = rng.random(5)
    if draws[0] < CAPITAL_RATE:
        words = words[:1].upper() + words[1:]
    if draws[1] < LOWER_CASE_RATE:
        words = words.lower()
    if draws[2] < NO_STOP_RATE and len(words) > 1:
        words = words.rstrip(".?!")
    if draws[3] < NO_APOSTROPHE_RATE:
        words = words.replace("'", "")
    return misspell(rng, words) if draws[4] < TYPO_RATE else words


def misspell(rng: np.random.Generator, words: str) -> str:
    """Swap, drop or double one letter inside a long word; the first and last letters stay."""
    long = [match for match in re.finditer(r"[A-Za-z]+", words) if len(match[0]) >= MIN_TYPO_LETTERS]
    if not long:
        return words
    start, end = long[int(rng.integers(len(long)))].span()
    place = start + 1 + int(rng.integers(end - start - 3))
    one, other = words[place], words[place + 1]
    changed = (other + one, other, one + one + other)[int(rng.integers(3))]
    return words[:place] + changed + words[place + 2 :]
