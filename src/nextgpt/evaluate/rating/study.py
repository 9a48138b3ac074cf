"""Types of a study: what is rated, on which scale, and the rows of its file.

The file holds one :class:`Study`, then a :class:`Rater` per person and an :class:`Answer` per confirmed rating. The
last answer of a rater to a task counts.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nextgpt.annotation.journal import Row
from nextgpt.errors import ConfigError

Mode = Literal["scores", "pairs"]
"""``scores``: one answer, each criterion from 1 to 10; ``pairs``: two answers side by side."""
TaskKind = Literal["main", "repeat", "control"]
Choice = Literal["left", "tie", "right"]
Source = Literal["system", "true", "shuffled"]
MIN_SCORE, MAX_SCORE = 1, 10


@dataclass(frozen=True)
class Criterion:
    """A scale of ``scores``."""

    name: str
    question: str
    low: str
    """Meaning of the lowest score."""
    high: str
    """Meaning of the highest score."""


CRITERIA = (
    Criterion("following", "Does the answer do what was asked?", "not at all", "completely"),
    Criterion("rationality", "Does the answer make sense?", "nonsense", "fully sensible"),
    Criterion("quality", "How good are the text and media themselves?", "unusable", "excellent"),
)
CRITERION_NAMES = tuple(criterion.name for criterion in CRITERIA)


class Frozen(BaseModel):
    """Base of all rows."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Study(Frozen):
    """First row of the file: what is rated. Systems are opaque keys everywhere else."""

    type: Literal["study"] = "study"
    version: Literal[1] = 1
    mode: Mode
    seed: int
    secret: str
    """Key of all ids that reach the page."""
    per_rater: int
    """Maximum tasks per rater, planted ones included."""
    runs: tuple[str, ...]
    systems: dict[str, str]
    """Name of each system by its key."""
    items: tuple[str, ...]
    has_true_answers: bool = True
    """True if controls show a true answer beside the shuffled one."""
    left_out: dict[str, int] = {}
    """Number of items without a complete set of answers, by reason."""


class Shown(Frozen):
    """An answer on the page."""

    source: Source
    """Origin: a system, the true answer of a control, or the answer to another item."""
    system: str = ""
    """Key of the system; empty for true answers."""
    item: str
    """Item that the answer belongs to; another one than the task's for ``shuffled``."""


class Task(Frozen):
    """One page: a request with one answer, or with two side by side."""

    id: str
    kind: TaskKind
    item: str
    shown: tuple[Shown, ...]
    """Answers from left to right."""


class Rater(Frozen):
    """A person who rates; the index determines the order of the tasks."""

    type: Literal["rater"] = "rater"
    rater: str
    index: int
    at: float = Field(default_factory=time.time)


class Judgement(Frozen):
    """A rating as the page sends it."""

    scores: dict[str, int] | None = None
    """Score per criterion; for ``scores`` only."""
    choice: Choice | None = None
    """Better answer; for ``pairs`` only."""
    comment: str = Field("", max_length=2000)
    seconds: float = Field(0.0, ge=0)
    """Time that the page was open."""

    def problem(self, mode: Mode) -> str | None:
        """Return what is wrong with the rating; ``None`` if it is complete."""
        if mode == "pairs":
            has_choice = self.choice is not None and self.scores is None
            return None if has_choice else "expected a choice: left, tie or right, and no scores."
        if self.choice is not None:
            return "expected scores and no choice."
        if set(self.scores or {}) != set(CRITERION_NAMES):
            return f"expected scores for {', '.join(CRITERION_NAMES)}; got {', '.join(self.scores or {}) or 'none'}."
        if not all(MIN_SCORE <= score <= MAX_SCORE for score in (self.scores or {}).values()):
            return f"expected scores from {MIN_SCORE} to {MAX_SCORE}."
        return None


class Answer(Frozen):
    """A confirmed rating of a task."""

    type: Literal["answer"] = "answer"
    rater: str
    position: int
    """Place of the task in the rater's order, from 0."""
    task: Task
    judgement: Judgement
    at: float = Field(default_factory=time.time)


@dataclass
class StudyFile:
    """Parsed rows of a study's file."""

    study: Study
    raters: dict[str, Rater]
    answers: dict[tuple[str, str], Answer]
    """Last answer by rater and id of the task."""

    @classmethod
    def from_rows(cls, rows: Iterable[Row], name: str) -> StudyFile:
        """Parse the rows of the file ``name``. Raises :class:`ConfigError`."""
        rows = list(rows)
        if not rows or rows[0].get("type") != "study":
            raise ConfigError(f"{name} has no study in its first line; expected a file of nextgpt rate serve.")
        number = 1
        try:
            parsed = cls(Study.model_validate(rows[0]), {}, {})
            for number, row in enumerate(rows[1:], 2):  # noqa: B007 the error names it
                parsed.add(Rater.model_validate(row) if row.get("type") == "rater" else Answer.model_validate(row))
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"]))
            raise ConfigError(f"{name}, row {number}, {field}: {first['msg']}. Restore the row.") from None
        return parsed

    def add(self, row: Rater | Answer) -> None:
        """Add a row; it replaces an earlier answer to the same task."""
        if isinstance(row, Rater):
            self.raters[row.rater] = row
        else:
            self.answers[row.rater, row.task.id] = row

    def answered(self, rater: str) -> dict[str, Answer]:
        """Return the answers of a rater by task."""
        return {task: answer for (name, task), answer in self.answers.items() if name == rater}
