"""What the next turn is made from: chance, the split, and what was said before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from nextgpt.miniworld.language.descriptions import describe, in_reading_order
from nextgpt.miniworld.language.templates import TemplateSet, expand_template
from nextgpt.miniworld.language.types import DialogueTurn, MediaPart, TurnPart
from nextgpt.miniworld.sample_specs import sample_clip, sample_scene, sample_sound
from nextgpt.miniworld.specs import MediaSpec
from nextgpt.miniworld.splits import Split, is_held_out

BRIEF_SHARE = 0.25
"""How often a medium is handed over without saying what it is."""
CLOSING_SHARE = 0.05
"""How often words follow the media of an answer."""
LOWER_CASE_SHARE = 0.4
NO_FULL_STOP_SHARE = 0.35
"""How often people begin in lower case, and leave out the last full stop or question mark."""
MAX_TRIES = 30
"""How often a move is tried before it is given up."""

BRIEF_ANSWER = "Here you are."
CLOSING = "Shall I change anything?"
MEDIUM_NOUNS = {"image": ("picture", "image"), "audio": ("sound",), "video": ("video", "clip")}
REFERENCES = TemplateSet(
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
Candidate = TypeVar("Made")


SpecSource = Callable[[np.random.Generator, str, Split], MediaSpec]
"""``(rng, modality, split) -> content``: where new contents come from."""


def sample_spec(rng: np.random.Generator, modality: str, split: Split) -> MediaSpec:
    """Any content of ``modality`` and of ``split``; clips are silent."""
    if modality == "image":
        return in_reading_order(sample_scene(rng, split))
    if modality == "audio":
        return sample_sound(rng, split)
    return sample_clip(rng, split, with_sound=False)


@dataclass(frozen=True)
class DialogueState:
    """A dialogue so far. Everything in it but the state of ``rng`` is immutable."""

    rng: np.random.Generator
    split: Split
    turns: tuple[DialogueTurn, ...] = ()
    spec_source: SpecSource = sample_spec

    def choice(self, choices: Sequence[Choice]) -> Choice:
        """One of ``choices``."""
        return choices[int(self.rng.integers(len(choices)))]

    def bernoulli(self, share: float) -> bool:
        """True in ``share`` of all cases."""
        return bool(self.rng.random() < share)

    def phrase(self, phrasings: TemplateSet, **values: str) -> str:
        """A person's words, in a phrasing of the split."""
        words = expand_template(self.rng, self.choice(phrasings.of(self.split))).format(**values)
        return self.casualize(words[0].upper() + words[1:])

    def casualize(self, words: str) -> str:
        """``words`` as people type them: a small first letter, no full stop."""
        if self.bernoulli(LOWER_CASE_SHARE) and not words.startswith(("I ", "I'")):
            words = words[0].lower() + words[1:]
        return words[:-1] if words[-1] in ".?!" and self.bernoulli(NO_FULL_STOP_SHARE) else words

    def in_split(self, spec: MediaSpec) -> bool:
        """Whether ``content`` belongs to the split."""
        return is_held_out(spec) == (self.split == "test")

    def first_in_split(
        self, draw: Callable[[], Candidate | None], content_of: Callable[[Candidate], MediaSpec]
    ) -> Candidate | None:
        """Draw until the content belongs to the split; None where it never does."""
        for _ in range(MAX_TRIES):
            drawn = draw()
            if drawn is not None and self.in_split(content_of(drawn)):
                return drawn
        return None

    def sample(self, modality: str) -> MediaSpec:
        """Any content of ``modality`` and of the split; clips are silent."""
        return self.spec_source(self.rng, modality, self.split)

    @property
    def media(self) -> tuple[MediaPart, ...]:
        """All media of the dialogue, in order."""
        return tuple(shown for turn in self.turns for shown in (*turn.input_media, *turn.target_media))

    def last_spec(self, modality: str) -> MediaSpec | None:
        """The medium of ``modality`` that was shown last, by whomever."""
        return next((shown.spec for shown in reversed(self.media) if shown.modality == modality), None)

    def refer(self, modality: str, words: str) -> str:
        """``words`` about the last medium of ``modality``, saying so where another medium came after it."""
        if self.media[-1].modality == modality:
            return words
        inner = words if words.startswith(("I ", "I'")) else words[0].lower() + words[1:]
        pattern = expand_template(self.rng, self.choice(REFERENCES.of(self.split)))
        return self.casualize(pattern.format(medium=self.choice(MEDIUM_NOUNS[modality]), words=inner))

    def user_parts(self, spec: MediaSpec, words: str) -> tuple[TurnPart, ...]:
        """``words`` about ``content``, which is given along, or was shown last and is referred to."""
        shown = MediaPart(spec)
        if spec == self.last_spec(shown.modality):
            return (self.refer(shown.modality, words),)
        return (shown, words) if self.bernoulli(0.5) else (words, shown)

    def subject(self, modality: str) -> MediaSpec:
        """What to talk about: mostly the last medium of ``modality`` if there is one, otherwise a new one."""
        last = self.last_spec(modality)
        return last if last is not None and self.bernoulli(0.75) else self.sample(modality)

    def with_turn(self, turn: DialogueTurn) -> DialogueState:
        """The dialogue with one more turn."""
        return replace(self, turns=(*self.turns, turn))


def media_answer(state: DialogueState, *specs: MediaSpec, is_edit: bool = False) -> tuple[TurnPart, ...]:
    """An answer that shows or plays contents, mostly saying what they are."""
    if state.bernoulli(BRIEF_SHARE):
        return (BRIEF_ANSWER, *[MediaPart(spec, is_edit) for spec in specs])
    says: list[TurnPart] = []
    for spec in specs:
        says += [f"{'And here' if says else 'Here'} {describe_intro(spec)}.", MediaPart(spec, is_edit)]
    return (*says, CLOSING) if state.bernoulli(CLOSING_SHARE) else tuple(says)


def describe_intro(spec: MediaSpec) -> str:
    """``"is a large cat in the center on a white background"``, ``"are two dogs ..."``."""
    words = describe(spec)
    return f"{'are' if words.startswith(('two ', 'three ')) else 'is'} {words}"
