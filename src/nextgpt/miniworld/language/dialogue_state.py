"""State from which the next turn is sampled: random generator, split and previous turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self, TypeVar

import numpy as np

from nextgpt.miniworld.language.descriptions import describe, in_reading_order
from nextgpt.miniworld.language.templates import TemplateSet, expand_template, load_templates
from nextgpt.miniworld.language.types import DialogueTurn, MediaPart, TurnPart
from nextgpt.miniworld.sample_specs import sample_clip, sample_scene, sample_sound
from nextgpt.miniworld.specs import MediaSpec
from nextgpt.miniworld.splits import Split, is_held_out

REFERENCES = load_templates("references")["last_medium"]
"""Templates that name the medium if the last one has another modality."""

BRIEF_SHARE = 0.25
"""Probability that an answer does not describe its media."""
CLOSING_SHARE = 0.05
"""Probability that text follows the media of an answer."""
LOWER_CASE_SHARE = 0.4
NO_FULL_STOP_SHARE = 0.35
"""Probabilities of a lower-case first letter and of a missing final full stop or question mark."""
MAX_TRIES = 30
"""Attempts to sample a spec of the split."""

BRIEF_ANSWER = "Here you are."
CLOSING = "Shall I change anything?"
MEDIUM_NOUNS = {"image": ("picture", "image"), "audio": ("sound",), "video": ("video", "clip")}

Choice = TypeVar("Choice")
Candidate = TypeVar("Candidate")


SpecSource = Callable[[np.random.Generator, str, Split], MediaSpec]
"""Source of new specs: ``(rng, modality, split) -> spec``."""


def sample_spec(rng: np.random.Generator, modality: str, split: Split) -> MediaSpec:
    """Sample a spec of ``modality`` and ``split``; clips have no audio."""
    if modality == "image":
        return in_reading_order(sample_scene(rng, split))
    if modality == "audio":
        return sample_sound(rng, split)
    return sample_clip(rng, split, with_sound=False)


@dataclass(frozen=True)
class DialogueState:
    """A dialogue so far; immutable except for the state of ``rng``."""

    rng: np.random.Generator
    split: Split
    turns: tuple[DialogueTurn, ...] = ()
    spec_source: SpecSource = sample_spec
    brief_share: float = BRIEF_SHARE

    def choice(self, choices: Sequence[Choice]) -> Choice:
        """Return a random element of ``choices``."""
        return choices[int(self.rng.integers(len(choices)))]

    def bernoulli(self, share: float) -> bool:
        """Return True with probability ``share``."""
        return bool(self.rng.random() < share)

    def phrase(self, templates: TemplateSet, **values: str) -> str:
        """Expand a random template of the split to a user message."""
        words = expand_template(self.rng, self.choice(templates.of(self.split))).format(**values)
        return self.casualize(words[0].upper() + words[1:])

    def casualize(self, words: str) -> str:
        """Imitate casual typing: sometimes a lower-case first letter or no final punctuation."""
        if self.bernoulli(LOWER_CASE_SHARE) and not words.startswith(("I ", "I'")):
            words = words[0].lower() + words[1:]
        return words[:-1] if words[-1] in ".?!" and self.bernoulli(NO_FULL_STOP_SHARE) else words

    def in_split(self, spec: MediaSpec) -> bool:
        """Return True if ``spec`` belongs to the split."""
        return is_held_out(spec) == (self.split == "test")

    def first_in_split(
        self, sample: Callable[[], Candidate | None], content_of: Callable[[Candidate], MediaSpec]
    ) -> Candidate | None:
        """Sample until the spec belongs to the split; None after :data:`MAX_TRIES` attempts."""
        for _ in range(MAX_TRIES):
            candidate = sample()
            if candidate is not None and self.in_split(content_of(candidate)):
                return candidate
        return None

    def sample(self, modality: str) -> MediaSpec:
        """Sample a spec of ``modality`` and the split."""
        return self.spec_source(self.rng, modality, self.split)

    @property
    def media(self) -> tuple[MediaPart, ...]:
        """Return all media of the dialogue in order."""
        return tuple(part for turn in self.turns for part in (*turn.input_media, *turn.target_media))

    def last_spec(self, modality: str) -> MediaSpec | None:
        """Return the spec of the last medium of ``modality`` from either side."""
        return next((part.spec for part in reversed(self.media) if part.modality == modality), None)

    def refer(self, modality: str, words: str) -> str:
        """Refer ``words`` to the last medium of ``modality``, naming it if another medium followed."""
        if self.media[-1].modality == modality:
            return words
        inner = words if words.startswith(("I ", "I'")) else words[0].lower() + words[1:]
        pattern = expand_template(self.rng, self.choice(REFERENCES.of(self.split)))
        return self.casualize(pattern.format(medium=self.choice(MEDIUM_NOUNS[modality]), words=inner))

    def user_parts(self, spec: MediaSpec, words: str) -> tuple[TurnPart, ...]:
        """Attach ``spec`` to ``words``, or refer to it if it is the last medium of its modality."""
        part = MediaPart(spec)
        if spec == self.last_spec(part.modality):
            return (self.refer(part.modality, words),)
        return (part, words) if self.bernoulli(0.5) else (words, part)

    def subject(self, modality: str) -> MediaSpec:
        """Return the last spec of ``modality`` in three of four cases, otherwise a new one."""
        last = self.last_spec(modality)
        return last if last is not None and self.bernoulli(0.75) else self.sample(modality)

    def with_turn(self, turn: DialogueTurn) -> Self:
        """Return the dialogue with ``turn`` appended."""
        return replace(self, turns=(*self.turns, turn))


def media_answer(state: DialogueState, *specs: MediaSpec, is_edit: bool = False) -> tuple[TurnPart, ...]:
    """Return an answer with media, usually with descriptions."""
    if state.bernoulli(state.brief_share):
        return (BRIEF_ANSWER, *[MediaPart(spec, is_edit) for spec in specs])
    parts: list[TurnPart] = []
    for spec in specs:
        parts += [f"{'And here' if parts else 'Here'} {describe_intro(spec)}.", MediaPart(spec, is_edit)]
    return (*parts, CLOSING) if state.bernoulli(CLOSING_SHARE) else tuple(parts)


def describe_intro(spec: MediaSpec) -> str:
    """Return ``"is a large cat in the center on a white background"``, ``"are two dogs ..."``."""
    words = describe(spec)
    return f"{'are' if words.startswith(('two ', 'three ')) else 'is'} {words}"
