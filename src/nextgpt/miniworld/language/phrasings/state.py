"""State of a phrased dialogue: turns so far, random generator, author."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, TypeVar

from nextgpt.miniworld.language.descriptions import in_reading_order, with_own_colors
from nextgpt.miniworld.language.dialogue_state import DialogueState, describe_intro
from nextgpt.miniworld.language.phrasings.author import SLOT, Author, shared_phrasings
from nextgpt.miniworld.language.phrasings.filling import decapitalize, fill, type_words
from nextgpt.miniworld.language.types import DialogueTurn, KeyWordGroups, MediaPart, TurnPart, difference
from nextgpt.miniworld.specs import MediaSpec

BEFORE_RATE, AFTER_RATE = 0.1, 0.1
GIVEN_FIRST_RATE = 0.6
"""Probability that a given medium stands before the words about it."""

Spec = TypeVar("Spec", bound=MediaSpec)


@dataclass(frozen=True)
class PhrasedState(DialogueState):
    """A dialogue so far, in one author's words."""

    author: Author = field(kw_only=True)
    any_split: bool = False
    """Sample specs of both splits. For evaluation only."""
    free_form_rate: float = 0.0
    """Probability that a request is of free form and not one of the author's templates."""
    own_colors: set[str] = field(default_factory=set)
    """Objects whose natural color the user has stated, as in a yellow key; the following states share this set.

    Answers state it too. If they left it out, a model would have to know for each object whether a color is its own
    before it may repeat it, and learns to leave out other colors as well.
    """

    told_specs: dict[MediaSpec, MediaSpec] = field(default_factory=dict)
    """Specs in the order in which answers named their objects, by spec in reading order; shared as ``own_colors``."""

    def as_told(self, spec: MediaSpec) -> MediaSpec:
        """Return ``spec`` with its objects in the order of the answer that named them, so that edits keep it."""
        return self.told_specs.get(spec, spec)

    def in_split(self, spec: MediaSpec) -> bool:
        """Return True if ``spec`` may be used."""
        return self.any_split or super().in_split(spec)

    def sample_in_split(self, sample: Callable[[], Spec | None]) -> Spec | None:
        """Sample until a spec may be used; None if none is found."""
        return self.first_in_split(sample, lambda spec: spec)

    def usable_patterns(
        self, intent: str, slots: Collection[str], required: Collection[str] = frozenset()
    ) -> list[str]:
        """Return the author's templates of ``intent`` that use all ``required`` slots and none besides ``slots``."""
        return [p for p in self.author.patterns.get(intent, ()) if set(required) <= set(SLOT.findall(p)) <= set(slots)]

    def fill_intent(self, intent: str, required: Collection[str] = frozenset(), **values: str) -> str:
        """Fill one of the author's templates that use all ``required`` slots, as it is written."""
        return fill(self.rng, self.choice(self.usable_patterns(intent, values, required)), values)

    def phrase_intent(self, intent: str, required: Collection[str] = frozenset(), **values: str) -> str:
        """Fill one of the author's templates, as typed."""
        return self.typed(self.fill_intent(intent, required, **values))

    def phrase_request(self, intent: str, required: Collection[str] = frozenset(), **values: str) -> str:
        """Fill one of the author's templates, as typed, at times with a lead-in or an ending."""
        return self.typed(self.surround(self.fill_intent(intent, required, **values)))

    def fill_shared(self, *keys: str, **values: str) -> str:
        """Fill a template that belongs to no author, found under ``keys``."""
        patterns: Any = shared_phrasings()
        for key in keys:
            patterns = patterns[key]
        return fill(self.rng, self.choice(patterns), values)

    def typed(self, words: str) -> str:
        """Return ``words`` as a person may type them."""
        return type_words(self.rng, words)

    def surround(self, words: str) -> str:
        """Put a lead-in before or an ending after ``words``, at times."""
        if self.author.before and self.bernoulli(BEFORE_RATE):
            before = self.choice(self.author.before).rstrip()
            return f"{before} {words if before[-1:] in '.!?' else decapitalize(words)}"
        if self.author.after and self.bernoulli(AFTER_RATE):
            after = self.choice(self.author.after)
            # An ending that is a sentence of its own follows a full stop.
            stop = "." if after.strip()[:1].isupper() else ""
            return f"{words.rstrip('.?! ')}{stop}{'' if after[:1] in ' ,.!?-' else ' '}{after}"
        return words

    def user_message(self, words: str, given: MediaSpec | None = None) -> tuple[TurnPart, ...]:
        """Return ``words``, with the ``given`` medium before or after them."""
        if given is None:
            return (words,)
        first = self.bernoulli(GIVEN_FIRST_RATE)
        return (MediaPart(given), words) if first else (words, MediaPart(given))

    def media_turn(
        self,
        task: str,
        words: str,
        *specs: MediaSpec,
        given: MediaSpec | None = None,
        edited: MediaSpec | None = None,
        intro: str = "",
    ) -> DialogueTurn:
        """Build a turn whose answer names each medium before generating it.

        Objects of an image are named in their order in ``specs``: that of the request. To name them by place, a model
        would have to find each object's place before its first word.

        Args:
            given: Medium that comes with the words.
            edited: Spec before the edit; None if the answer is no edit.
            intro: First sentence of the answer.
        """
        answer: list[TurnPart] = []
        for spec in specs:
            sentence = f"{'And here' if answer else 'Here'} {describe_intro(with_own_colors(spec, self.own_colors))}."
            medium = MediaPart(in_reading_order(spec), edited is not None)
            self.told_specs[medium.spec] = spec
            answer += [f"{intro} {sentence}" if intro and not answer else sentence, medium]
        changed = () if edited is None else difference(in_reading_order(edited), in_reading_order(specs[0]))
        return DialogueTurn(task, self.user_message(words, given), tuple(answer), changed_attributes=changed)

    def text_turn(
        self, task: str, words: str, answer: str, key_words: KeyWordGroups = (), given: MediaSpec | None = None
    ) -> DialogueTurn:
        """Build a turn that is answered in words."""
        return DialogueTurn(task, self.user_message(words, given), (answer,), key_words)
