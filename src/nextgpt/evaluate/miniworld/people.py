"""Suites of people's own words: requests by authors whose phrasings occur in no training.

``people`` has the items that test authors wrote. ``people-dev`` has items by a development author, and samples others
from the templates of another one; compare models with it during development, so that ``people`` stays unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

import numpy as np

from nextgpt.evaluate.miniworld.cases import CaseResult, EvalCase, TurnResult
from nextgpt.evaluate.miniworld.held_out import SAMPLES_PER_TASK, SEED_STRIDE, sample_answer
from nextgpt.evaluate.miniworld.runner import DIRECT, ORACLE, run_cases
from nextgpt.evaluate.miniworld.suite import RunOptions, SampleAnswer
from nextgpt.evaluate.score import Score
from nextgpt.miniworld.language.phrasings import load_authors, sample_phrased_dialogue
from nextgpt.miniworld.language.phrasings.author import DATA_DIR
from nextgpt.miniworld.language.phrasings.labels import (
    DialogueLabel,
    MediaLabel,
    PeopleItems,
    TurnLabel,
    label_of,
    read_items,
)
from nextgpt.miniworld.language.types import Dialogue, DialogueTurn, MediaPart

TEST_DIR, DEV_DIR = DATA_DIR / "test", DATA_DIR / "dev_items"
ROWS = {"single": "people_single", "dialogues": "people_turns", "given": "people_given"}
"""Name of the row of each list of items."""
DEV_SINGLE = {
    "text_to_image": 0.36,
    "text_to_audio": 0.2,
    "text_to_video": 0.18,
    "text_to_several": 0.13,
    "speech": 0.03,
    "small_talk": 0.06,
    "general": 0.04,
}
DEV_GIVEN = {"question_given": 0.5, "edit_given": 0.4, "link_given": 0.1}
"""Tasks of ``people-dev`` with their shares."""
_TEXT_TASKS = ("question", "recall")
"""Tasks whose answers in words are judged in ``people-dev``."""
_ALL_ATTRIBUTES = frozenset(
    {"pitch", "pattern", "speed", "background", "place", "size", "tint", "tint 1", "tint 2", "tint 3"}
)


@dataclass(frozen=True)
class LabelledTurn(DialogueTurn):
    """A turn with labels of the media of a correct answer."""

    labels: tuple[MediaLabel, ...] = field(kw_only=True)


@dataclass(frozen=True)
class Outcome:
    """Outcome of one turn."""

    author: str
    position: int
    """Number of turns before it in its dialogue."""
    kind: str
    """Requested modality: ``image``, ``audio``, ``video``, ``several`` or ``text``."""
    has_modalities: bool
    """True if the reply has the requested modalities in their order."""
    is_correct: bool
    """True if modalities, requested attributes and words are correct."""


def judge_turn(author: str, position: int, result: TurnResult) -> Outcome:
    """Judge one reply by the labels of its turn."""
    turn = result.turn
    assert isinstance(turn, LabelledTurn)
    modalities = tuple(label.modality for label in turn.labels)
    has_modalities = tuple(medium.modality for medium in result.media) == modalities
    is_correct = (
        has_modalities
        and all(label.matches(spec) for label, spec in zip(turn.labels, result.judged_specs, strict=True))
        and turn.contains_key_words(result.reply.text)
    )
    kind = "several" if len(modalities) > 1 else modalities[0] if modalities else "text"
    return Outcome(author, position, kind, has_modalities, is_correct)


def labelled_turn(label: TurnLabel) -> LabelledTurn:
    """Return a turn whose reference answer has the first alternatives as words and completed labels as media."""
    words = " ".join(group[0] for group in label.say) or "Yes."
    return LabelledTurn(
        "people",
        (*(MediaPart(given.complete()) for given in label.given), label.text),
        (words, *(MediaPart(medium.complete()) for medium in label.want)),
        tuple(tuple(form for phrase in group for form in _number_forms(phrase)) for group in label.say),
        labels=label.want,
    )


def _number_forms(phrase: str) -> tuple[str, ...]:
    """Return ``phrase`` and its plural: an answer with ``videos`` says what the label ``video`` asks for."""
    return (phrase, f"{phrase}s") if len(phrase) > 2 and phrase[-1].isalpha() and phrase[-1] != "s" else (phrase,)


class People:
    """Implements :class:`~nextgpt.evaluate.miniworld.suite.Suite` for the items of test authors."""

    def items(self, limit: int, seed: int) -> dict[str, PeopleItems]:
        """Return at most ``limit`` items per list, by author."""
        return _first_items(TEST_DIR, limit)

    def evaluate(
        self, model_dir: Path, options: RunOptions, *, limit: int, seed: int
    ) -> tuple[list[Score], list[SampleAnswer]]:
        """See :meth:`.suite.Suite.evaluate`; ``limit`` counts items per list and author."""
        cases = item_cases(self.items(limit, seed), seed)
        results = run_cases(
            [(system, task) for task in cases for system in (DIRECT, ORACLE)], cases, model_dir, options
        )
        direct, oracle = ({task: results[system, task] for task in cases} for system in (DIRECT, ORACLE))
        return list(_scores(direct, oracle)), list(_samples(direct))


class PeopleDevelopment(People):
    """The same for development authors: written items, and items sampled from templates."""

    def items(self, limit: int, seed: int) -> dict[str, PeopleItems]:
        """Return at most ``limit`` items per list, by author."""
        items = _first_items(DEV_DIR, limit)
        for author in load_authors("dev"):
            rng = np.random.default_rng([seed, crc32(author.name.encode())])

            def sample(task: str, rng: np.random.Generator = rng, author=author) -> DialogueLabel:
                return _dialogue_label(
                    sample_phrased_dialogue(rng, (author,), task, any_split=True, free_form_rate=0.0)
                )

            def last_turns(shares: Mapping[str, float], rng=rng, sample=sample) -> tuple[TurnLabel, ...]:
                tasks = rng.choice(list(shares), size=limit, p=list(shares.values()))
                return tuple(sample(task).turns[-1] for task in tasks)

            items[author.name] = PeopleItems(
                single=last_turns(DEV_SINGLE),
                dialogues=tuple(sample("dialogue") for _ in range(limit)),
                given=last_turns(DEV_GIVEN),
            )
        return items


def _first_items(folder: Path, limit: int) -> dict[str, PeopleItems]:
    return {
        author: PeopleItems(**{name: getattr(items, name)[:limit] for name in ROWS})
        for author, items in read_items(folder).items()
    }


def _dialogue_label(dialogue: Dialogue) -> DialogueLabel:
    """Return the labels of a sampled dialogue."""
    turns = tuple(
        TurnLabel(
            text=turn.user_text,
            want=tuple(label_of(part.spec, turn.changed_attributes) for part in turn.target_media),
            say=turn.key_words if turn.task in _TEXT_TASKS else (),
            given=tuple(label_of(part.spec, _ALL_ATTRIBUTES) for part in turn.input_media),
        )
        for turn in dialogue.turns
    )
    return DialogueLabel(turns=turns)


def item_cases(items: Mapping[str, PeopleItems], seed: int) -> dict[str, list[EvalCase]]:
    """Return evaluation cases of labelled items, by ``list/author``."""
    cases: dict[str, list[EvalCase]] = {}
    number = seed * SEED_STRIDE
    for author, author_items in items.items():
        for name in ROWS:
            task = f"{name}/{author}"
            for item in getattr(author_items, name):
                turns = item.turns if isinstance(item, DialogueLabel) else (item,)
                dialogue = Dialogue(tuple(map(labelled_turn, turns)))
                cases.setdefault(task, []).append(EvalCase(task, dialogue, number, all_turns=True))
                number += 1
    return cases


ResultsByTask = Mapping[str, Sequence[CaseResult]]


def _outcomes(results: ResultsByTask, name: str) -> list[list[Outcome]]:
    """Return the outcomes of each case of a list, of all authors."""
    return [
        [judge_turn(task.partition("/")[2], position, turn) for position, turn in enumerate(case.turns)]
        for task, cases in results.items()
        if task.partition("/")[0] == name
        for case in cases
    ]


OutcomeFilter = Callable[[Outcome], bool]


def _scores(direct: ResultsByTask, oracle: ResultsByTask) -> Iterator[Score]:
    """Yield all rows: correct turns in all, by position, modality and author, and correct dialogues."""
    for name, row in ROWS.items():
        cases, judge_cases = (_outcomes(results, name) for results in (direct, oracle))
        turns, judge_turns = ([turn for case in c for turn in case] for c in (cases, judge_cases))
        if not turns:
            continue
        for ending, attribute, applies in _rows(turns, has_positions=name == "dialogues"):
            values = ([getattr(turn, attribute) for turn in t if applies(turn)] for t in (turns, judge_turns))
            yield Score.from_outcomes(row + ending, *values)
        if name == "dialogues":
            yield from _dialogue_scores(cases, judge_cases)


def _rows(outcomes: Sequence[Outcome], has_positions: bool) -> Iterator[tuple[str, str, OutcomeFilter]]:
    """Yield each row: ending of its name, attribute of the outcomes, outcomes that count."""
    yield "", "is_correct", lambda _: True
    yield ".modalities", "has_modalities", lambda _: True
    if has_positions:
        yield ".first", "is_correct", lambda outcome: outcome.position == 0
        yield ".follow_up", "is_correct", lambda outcome: outcome.position > 0
    for kind in ("image", "audio", "video", "several", "text"):
        if any(outcome.kind == kind for outcome in outcomes):
            yield f".{kind}", "is_correct", lambda outcome, kind=kind: outcome.kind == kind
    for author in dict.fromkeys(outcome.author for outcome in outcomes):
        yield f".by_{author}", "is_correct", lambda outcome, author=author: outcome.author == author


def _dialogue_scores(cases: Sequence[Sequence[Outcome]], judge_cases: Sequence[Sequence[Outcome]]) -> Iterator[Score]:
    """Yield the fractions of dialogues in which every turn is correct, in all and by author."""
    for author in (None, *dict.fromkeys(turns[0].author for turns in cases)):
        correct = (
            [all(turn.is_correct for turn in turns) for turns in c if author in (None, turns[0].author)]
            for c in (cases, judge_cases)
        )
        yield Score.from_outcomes(f"people_dialogues{f'.by_{author}' if author else ''}", *correct)


def _samples(results: ResultsByTask) -> Iterator[SampleAnswer]:
    """Yield the first replies of each list to requests for a medium."""
    for task, cases in results.items():
        for case in cases[:SAMPLES_PER_TASK]:
            if case.last.turn.target_media:
                yield sample_answer(task, case.last, judge_turn("", 0, case.last).is_correct)
