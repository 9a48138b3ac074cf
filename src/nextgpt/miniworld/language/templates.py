"""Phrasings: patterns in which people say something, some of which are kept for tests.

A pattern holds alternatives in square brackets and values in braces: ``"[please |]draw {thing}[ for me|]"``. A pattern
that is kept for tests is never used in training, in any of its variants; its single words are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from nextgpt.miniworld.splits import Split

_ALTERNATIVES = re.compile(r"\[([^\]]*)\]")


@dataclass(frozen=True)
class TemplateSet:
    """Ways of saying one thing."""

    train: tuple[str, ...]
    held_out: tuple[str, ...]

    def of(self, split: Split) -> tuple[str, ...]:
        """The patterns of one split."""
        return self.held_out if split == "test" else self.train


def expand_template(rng: np.random.Generator, pattern: str) -> str:
    """One variant of ``pattern``, each of its alternatives chosen by chance."""

    def choose(match: re.Match[str]) -> str:
        choices = match[1].split("|")
        return choices[int(rng.integers(len(choices)))]

    return _ALTERNATIVES.sub(choose, pattern)


def all_expansions(pattern: str) -> Iterator[str]:
    """All variants of ``pattern``: ``"[a|b] c"`` gives ``"a c"`` and ``"b c"``."""
    pieces = _ALTERNATIVES.split(pattern)  # text and alternatives in turns
    for choice in product(*[piece.split("|") if i % 2 else [piece] for i, piece in enumerate(pieces)]):
        yield "".join(choice)
