"""What the next turn is made from: chance, the split, and what was said before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from nextgpt.miniworld.language.descriptions import as_read, describe
from nextgpt.miniworld.language.dialogue import Say, Shown, Turn
from nextgpt.miniworld.language.phrasing import Phrasings, choose_variant
from nextgpt.miniworld.sampling import sample_clip, sample_scene, sample_sound
from nextgpt.miniworld.scene import Content
from nextgpt.miniworld.splits import Split, is_held_out

BRIEF_SHARE = 0.25
"""How often a medium is handed over without saying what it is."""
CLOSING_SHARE = 0.05
"""How often words follow the media of an answer."""
LOWER_CASE_SHARE = 0.4
NO_STOP_SHARE = 0.35
"""How often people begin in lower case, and leave out the last full stop or question mark."""
TRIES = 30
"""How often a move is tried before it is given up."""

BRIEF_ANSWER = "Here you are."
CLOSING = "Shall I change anything?"
MEDIUM_NOUNS = {"image": ("picture", "image"), "audio": ("sound",), "video": ("video", "clip")}
REFERENCES = Phrasings(
    (
        "Back to the {medium}: {words}",
        "About the {medium}: {words}",
        "The last {medium}: {words}",
        "The {medium} again: {words}",
    ),
    held_out=("Back to the last {medium}: {words}", "About the {medium} again: {words}"),
)
"""Said where the last medium is of another modality than the one that is meant."""

Choice = TypeVar("Choice")
Made = TypeVar("Made")


Draw = Callable[[np.random.Generator, str, Split], Content]
"""``(rng, modality, split) -> content``: where new contents come from."""


def draw_content(rng: np.random.Generator, modality: str, split: Split) -> Content:
    """Any content of ``modality`` and of ``split``; clips are silent."""
    if modality == "image":
        return as_read(sample_scene(rng, split))
    if modality == "audio":
        return sample_sound(rng, split)
    return sample_clip(rng, split, with_sound=False)


@dataclass(frozen=True)
class Talk:
    """A dialogue so far. Everything in it but the state of ``rng`` is immutable."""

    rng: np.random.Generator
    split: Split
    turns: tuple[Turn, ...] = ()
    draw_from: Draw = draw_content

    def choose(self, choices: Sequence[Choice]) -> Choice:
        """One of ``choices``."""
        return choices[int(self.rng.integers(len(choices)))]

    def chance(self, share: float) -> bool:
        """True in ``share`` of all cases."""
        return bool(self.rng.random() < share)

    def say(self, phrasings: Phrasings, **values: str) -> str:
        """A person's words, in a phrasing of the split."""
        words = choose_variant(self.rng, self.choose(phrasings.of(self.split))).format(**values)
        return self.informally(words[0].upper() + words[1:])

    def informally(self, words: str) -> str:
        """``words`` as people type them: a small first letter, no full stop."""
        if self.chance(LOWER_CASE_SHARE) and not words.startswith(("I ", "I'")):
            words = words[0].lower() + words[1:]
        return words[:-1] if words[-1] in ".?!" and self.chance(NO_STOP_SHARE) else words

    def suits(self, content: Content) -> bool:
        """Whether ``content`` belongs to the split."""
        return is_held_out(content) == (self.split == "test")

    def first_suiting(
        self, draw: Callable[[], Made | None], content_of: Callable[[Made], Content]
    ) -> Made | None:
        """Draw until the content belongs to the split; None where it never does."""
        for _ in range(TRIES):
            drawn = draw()
            if drawn is not None and self.suits(content_of(drawn)):
                return drawn
        return None

    def draw(self, modality: str) -> Content:
        """Any content of ``modality`` and of the split; clips are silent."""
        return self.draw_from(self.rng, modality, self.split)

    @property
    def media(self) -> tuple[Shown, ...]:
        """All media of the dialogue, in order."""
        return tuple(shown for turn in self.turns for shown in (*turn.given, *turn.made))

    def last(self, modality: str) -> Content | None:
        """The medium of ``modality`` that was shown last, by whomever."""
        return next((shown.content for shown in reversed(self.media) if shown.modality == modality), None)

    def refer(self, modality: str, words: str) -> str:
        """``words`` about the last medium of ``modality``, saying so where another medium came after it."""
        if self.media[-1].modality == modality:
            return words
        inner = words if words.startswith(("I ", "I'")) else words[0].lower() + words[1:]
        pattern = choose_variant(self.rng, self.choose(REFERENCES.of(self.split)))
        return self.informally(pattern.format(medium=self.choose(MEDIUM_NOUNS[modality]), words=inner))

    def about(self, content: Content, words: str) -> tuple[Say, ...]:
        """``words`` about ``content``, which is given along, or was shown last and is referred to."""
        shown = Shown(content)
        if content == self.last(shown.modality):
            return (self.refer(shown.modality, words),)
        return (shown, words) if self.chance(0.5) else (words, shown)

    def subject(self, modality: str) -> Content:
        """What to talk about: mostly the last medium of ``modality`` if there is one, otherwise a new one."""
        last = self.last(modality)
        return last if last is not None and self.chance(0.75) else self.draw(modality)

    def after(self, turn: Turn) -> Talk:
        """The dialogue with one more turn."""
        return replace(self, turns=(*self.turns, turn))


def present(talk: Talk, *contents: Content, is_edit: bool = False) -> tuple[Say, ...]:
    """An answer that shows or plays contents, mostly saying what they are."""
    if talk.chance(BRIEF_SHARE):
        return (BRIEF_ANSWER, *[Shown(content, is_edit) for content in contents])
    says: list[Say] = []
    for content in contents:
        says += [f"{'And here' if says else 'Here'} {introduce(content)}.", Shown(content, is_edit)]
    return (*says, CLOSING) if talk.chance(CLOSING_SHARE) else tuple(says)


def introduce(content: Content) -> str:
    """``"is a large cat in the center on a white background"``, ``"are two dogs ..."``."""
    words = describe(content)
    return f"{'are' if words.startswith(('two ', 'three ')) else 'is'} {words}"
