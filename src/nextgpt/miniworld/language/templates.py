"""Templates of sentences, some of which are held out for tests.

A template holds alternatives in square brackets and placeholders in braces: ``"[please |]draw {thing}[ for
me|]"``. No expansion of a held-out template occurs in training; its single words do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import product

import numpy as np

from nextgpt.miniworld.splits import Split

_ALTERNATIVES = re.compile(r"\[([^\]]*)\]")


@dataclass(frozen=True)
class TemplateSet:
    """Templates with the same meaning."""

    train: tuple[str, ...]
    held_out: tuple[str, ...]

    def of(self, split: Split) -> tuple[str, ...]:
        """Return the templates of one split."""
        return self.held_out if split == "test" else self.train

    def map(self, function: Callable[[str], str]) -> TemplateSet:
        """Apply ``function`` to every template."""
        return TemplateSet(tuple(map(function, self.train)), tuple(map(function, self.held_out)))


@cache
def load_templates(section: str) -> dict[str, TemplateSet]:
    """Load one section of ``assets/templates.json``: template sets by name."""
    path = resources.files("nextgpt.miniworld") / "assets" / "templates.json"
    sections = json.loads(path.read_text(encoding="utf-8"))
    return {
        name: TemplateSet(tuple(templates["train"]), tuple(templates["held_out"]))
        for name, templates in sections[section].items()
    }


def expand_template(rng: np.random.Generator, pattern: str) -> str:
    """Expand a template, choosing each alternative at random."""

    def choose(match: re.Match[str]) -> str:
        choices = match[1].split("|")
        return choices[int(rng.integers(len(choices)))]

    return _ALTERNATIVES.sub(choose, pattern)


def all_expansions(pattern: str) -> Iterator[str]:
    """Yield all expansions: ``"[a|b] c"`` gives ``"a c"`` and ``"b c"``."""
    pieces = _ALTERNATIVES.split(pattern)  # text and alternatives in turns
    for choice in product(*[piece.split("|") if i % 2 else [piece] for i, piece in enumerate(pieces)]):
        yield "".join(choice)
