"""HTTP API of the rating page, and the service behind it. Names of systems never leave the server.

::

    GET  /api/study                             mode, scales, whether a rater needs a personal link
    POST /api/session  {rater}                  number of tasks, answered positions, next position
    GET  /api/tasks/{position}?rater=           request, answers, the rater's earlier rating
    POST /api/tasks/{position} {rater, ...}     confirmed after it is on disk
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from pydantic import BaseModel

from nextgpt.annotation.journal import Journal
from nextgpt.annotation.pages import MediaTable, create_pages, opaque_id
from nextgpt.evaluate.rating.material import Material, PartEntry, ShownParts
from nextgpt.evaluate.rating.order import session_tasks
from nextgpt.evaluate.rating.study import CRITERIA, Answer, Judgement, Rater, Shown, Study, StudyFile, Task
from nextgpt.evaluate.standard.items import MediumEntry
from nextgpt.serve.errors import ApiError

STATIC = Path(__file__).with_name("static")
RATER_NAME = re.compile(r"[\w][\w .@-]{0,39}")
LINK_MAC_LENGTH = 12


class SessionBody(BaseModel):
    """A rater who starts or continues."""

    rater: str


class AnswerBody(SessionBody):
    """A rating of one task."""

    judgement: Judgement


class RatingService:
    """Assigns tasks to raters and appends their ratings to the study's file.

    Args:
        raters: Names that may rate, each by its personal link; anybody if empty.
    """

    def __init__(self, journal: Journal, material: Material, media: MediaTable, raters: Sequence[str] = ()) -> None:
        self._journal = journal
        self._file = StudyFile.from_rows(journal.rows, str(journal.path))
        self._material = material
        self._media = media
        self._raters = tuple(raters)
        self._lock = threading.Lock()
        self._tasks: dict[int, tuple[Task, ...]] = {}

    def describe(self) -> dict[str, Any]:
        """Return what the page needs before a rater is known."""
        study = self._file.study
        return {
            "mode": study.mode,
            "criteria": [asdict(criterion) for criterion in CRITERIA] if study.mode == "scores" else [],
            "needsLink": bool(self._raters),
        }

    def link(self, name: str) -> str:
        """Return the path of a rater's personal link."""
        return f"/?rater={name}~{self._mac(name)}"

    def start(self, given: str) -> dict[str, Any]:
        """Register a rater at the first visit; return how far the rater is."""
        rater = self._register(self._name(given))
        tasks = self._tasks_of(rater)
        answered = self._file.answered(rater.rater)
        remaining = [position for position, task in enumerate(tasks) if task.id not in answered]
        return {
            "rater": rater.rater,
            "total": len(tasks),
            "answered": len(tasks) - len(remaining),
            "next": remaining[0] if remaining else None,
        }

    def show(self, given: str, position: int) -> dict[str, Any]:
        """Return a task without the names and keys of the systems that answered."""
        rater, task = self._find(given, position)
        request = [
            {"role": message.role, "parts": self._parts(message.parts, folder)}
            for message, folder in self._material.request(task.item)
        ]
        found_answers = [answer_parts(self._file.study, self._material, shown) for shown in task.shown]
        answers = [self._parts(answer.parts, answer.folder) for answer in found_answers]
        earlier = self._file.answers.get((rater.rater, task.id))
        return {
            "position": position,
            "request": request,
            "answers": answers,
            "earlier": earlier.judgement.model_dump() if earlier else None,
        }

    def rate(self, given: str, position: int, judgement: Judgement) -> dict[str, Any]:
        """Append a rating and return how far the rater is; a second rating of a task replaces the first."""
        rater, task = self._find(given, position)
        if problem := judgement.problem(self._file.study.mode):
            raise ApiError(400, f"judgement: {problem} Reload the page.", param="judgement")
        answer = Answer(rater=rater.rater, position=position, task=task, judgement=judgement)
        with self._lock:
            self._journal.append(answer.model_dump())
            self._file.add(answer)
        return self.start(given)

    def _find(self, given: str, position: int) -> tuple[Rater, Task]:
        name = self._name(given)
        rater = self._file.raters.get(name)
        if rater is None:
            raise ApiError(404, f"{name!r} has not started. Reload the page.", param="rater")
        tasks = self._tasks_of(rater)
        if not 0 <= position < len(tasks):
            raise ApiError(404, f"position: got {position}; expected 0 to {len(tasks) - 1}.", param="position")
        return rater, tasks[position]

    def _name(self, given: str) -> str:
        name, _, mac = given.strip().partition("~")
        if self._raters and not (name in self._raters and mac == self._mac(name)):
            raise ApiError(403, "This link is not one of the study's; open the link that you were given.")
        if not RATER_NAME.fullmatch(name):
            raise ApiError(400, "rater: expected 1 to 40 letters, digits, spaces or . @ - _.", param="rater")
        return name

    def _mac(self, name: str) -> str:
        return opaque_id(self._file.study.secret, "rater", name)[:LINK_MAC_LENGTH]

    def _register(self, name: str) -> Rater:
        with self._lock:
            if name not in self._file.raters:
                rater = Rater(rater=name, index=len(self._file.raters))
                self._journal.append(rater.model_dump())
                self._file.add(rater)
            return self._file.raters[name]

    def _tasks_of(self, rater: Rater) -> tuple[Task, ...]:
        if rater.index not in self._tasks:
            self._tasks[rater.index] = rater_tasks(self._file, self._material, rater.index)
        return self._tasks[rater.index]

    def _parts(self, parts: Sequence[PartEntry], folder: Path) -> list[dict[str, str]]:
        return [
            {"type": part.type, "url": self._media.add(folder / part.path)}
            if isinstance(part, MediumEntry)
            else {"type": "text", "text": part.text}
            for part in parts
        ]


def answer_parts(study: Study, material: Material, shown: Shown) -> ShownParts:
    """Return the parts of an answer on the page."""
    if shown.source == "true":
        truth = material.true_answer(shown.item)
        assert truth is not None, "controls are planted for items with a true answer"
        return truth
    return material.answers[shown.item, study.systems[shown.system]]


def rater_tasks(file: StudyFile, material: Material, index: int) -> tuple[Task, ...]:
    """Return the tasks of the rater with this index."""
    prompts = {item: material.items[item].model_dump_json(include={"request"}) for item in file.study.items}
    with_truth = [item for item in file.study.items if material.true_answer(item) is not None]
    return session_tasks(file.study, prompts, with_truth, index)


def create_rating_app(
    journal: Journal, material: Material, *, raters: Sequence[str] = (), allowed_hosts: Sequence[str] = ("*",)
) -> tuple[FastAPI, RatingService]:
    """Build the application of the rating page around an open study."""
    media = MediaTable(StudyFile.from_rows(journal.rows, str(journal.path)).study.secret)
    service = RatingService(journal, material, media, raters)
    router = APIRouter(prefix="/api")
    router.get("/study")(service.describe)

    @router.post("/session")
    def start(body: SessionBody) -> dict[str, Any]:
        return service.start(body.rater)

    @router.get("/tasks/{position}")
    def show(position: int, rater: str) -> dict[str, Any]:
        return service.show(rater, position)

    @router.post("/tasks/{position}")
    def rate(position: int, body: AnswerBody) -> dict[str, Any]:
        return service.rate(body.rater, position, body.judgement)

    return create_pages("Rating", STATIC, media, router, allowed_hosts=allowed_hosts), service
