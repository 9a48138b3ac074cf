"""HTTP API of the review page, and the service behind it.

::

    GET  /api/review                                  reasons to choose from
    POST /api/session            {reviewer}           progress, and the id that comes next
    GET  /api/rows/{id}          ?reviewer=           the dialogue with all candidates, the reviewer's own decision
    POST /api/rows/{id}          {reviewer, ...}      confirmed after it is on disk

A reviewer never sees the decisions of others.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter, FastAPI
from pydantic import BaseModel, Field

from nextgpt.annotation.journal import Journal
from nextgpt.annotation.pages import MediaTable, create_pages
from nextgpt.data.build.review import DECISIONS_FILE, Decision, read_decisions
from nextgpt.data.build.row import BuildRow, Part
from nextgpt.data.review.agreement import ReviewSummary, summarize_review
from nextgpt.data.review.assignment import SHARED_FRACTION, read_reviewable, remaining_ids, shared_ids
from nextgpt.data.review.corrections import Correction, correct, corrections_of
from nextgpt.serve.errors import ApiError

STATIC = Path(__file__).with_name("static")
REVIEWER_NAME = re.compile(r"[\w][\w .@-]{0,39}")
REASONS = ("media do not fit", "wrong or unnatural text", "bad media quality", "unsafe or private", "other")


class SessionBody(BaseModel):
    """A reviewer who starts or continues."""

    reviewer: str


class DecisionBody(SessionBody):
    """A decision about one dialogue."""

    decision: Literal["keep", "drop"]
    reason: str = Field("", max_length=500)
    corrections: list[Correction] = Field(default_factory=list, max_length=200)


class ReviewService:
    """Gives dialogues to reviewers and appends their decisions."""

    def __init__(
        self, work: Path, journal: Journal, media: MediaTable, *, shared_fraction: float = SHARED_FRACTION
    ) -> None:
        self._work = work
        self._journal = journal
        self._media = media
        self._lock = threading.Lock()
        self.rows = {row.id: row for row in read_reviewable(work)}
        self._shared = shared_ids(list(self.rows.values()), fraction=shared_fraction)
        self._decisions = read_decisions(journal.path)

    def start(self, given: str) -> dict[str, Any]:
        """Return how far a reviewer is, and the next dialogue."""
        reviewer = check_name(given)
        left = remaining_ids(list(self.rows.values()), self._decisions, reviewer, self._shared)
        own = dict.fromkeys(one.id for one in self._decisions if one.reviewer == reviewer and one.id in self.rows)
        return {"reviewer": reviewer, "left": len(left), "next": left[0] if left else None, "decided": list(own)}

    def show(self, given: str, row_id: str) -> dict[str, Any]:
        """Return a dialogue as the reviewer would correct it."""
        reviewer, row = check_name(given), self._find(row_id)
        own = self._last(reviewer, row_id)
        return {
            "id": row.id,
            "topic": row.plan.topic,
            "intents": [turn.intent for turn in row.plan.turns],
            "messages": [
                {"role": message.role, "parts": [self._part(part) for part in message.content]}
                for message in row.messages
            ],
            "own": None
            if own is None
            else {"decision": own.decision, "reason": own.reason, "corrections": corrections_of(row, own.messages)},
        }

    def decide(self, given: str, row_id: str, body: DecisionBody) -> dict[str, Any]:
        """Append a decision and return how far the reviewer is; a second one about a row replaces the first."""
        reviewer, row = check_name(given), self._find(row_id)
        if body.decision == "drop" and not body.reason.strip():
            raise ApiError(400, "reason: a dropped dialogue needs a reason. Choose or write one.", param="reason")
        decision = Decision(
            id=row_id,
            reviewer=reviewer,
            decision=body.decision,
            reason=body.reason.strip() if body.decision == "drop" else "",
            messages=correct(row, body.corrections) if body.decision == "keep" else None,
            at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        with self._lock:
            self._journal.append(decision.model_dump(exclude_none=True, mode="json"))
            self._decisions.append(decision)
        return self.start(given)

    def summary(self) -> ReviewSummary:
        """Return progress and agreement of all reviewers."""
        return summarize_review(list(self.rows), self._decisions)

    def _find(self, row_id: str) -> BuildRow:
        if row_id not in self.rows:
            raise ApiError(404, f"There is no dialogue {row_id[:80]!r} to review. Reload the page.", param="id")
        return self.rows[row_id]

    def _last(self, reviewer: str, row_id: str) -> Decision | None:
        own = [one for one in self._decisions if (one.id, one.reviewer) == (row_id, reviewer)]
        return own[-1] if own else None

    def _part(self, part: Part) -> dict[str, Any]:
        if part.type == "text":
            return {"type": "text", "text": part.text or ""}
        candidates = [
            {
                "url": self._media.add(self._work / one.path),
                "score": one.score,
                "source": one.source,
                "licence": one.licence,
                "madeBy": one.made_by,
            }
            for one in part.candidates
        ]
        paths = [one.path for one in part.candidates]
        chosen = paths.index(part.path) if part.path in paths else None
        url = self._media.add(self._work / part.path) if part.path else ""
        return {
            "type": part.type,
            "caption": part.caption or "",
            "url": url,
            "chosen": chosen,
            "candidates": candidates,
        }


def check_name(name: str) -> str:
    """Return a reviewer's name without surrounding spaces. Raises :class:`ApiError`."""
    name = name.strip()
    if not REVIEWER_NAME.fullmatch(name):
        raise ApiError(400, "reviewer: expected 1 to 40 letters, digits, spaces or . @ - _.", param="reviewer")
    return name


def open_decisions(work: Path) -> Journal:
    """Open the decisions of a work directory for appending. Raises :class:`ConfigError`."""
    return Journal(work / DECISIONS_FILE)


def create_review_app(
    work: Path, journal: Journal, *, shared_fraction: float = SHARED_FRACTION, allowed_hosts: Sequence[str] = ("*",)
) -> tuple[FastAPI, ReviewService]:
    """Build the application of the review page of a work directory."""
    media = MediaTable(str(work.absolute()))
    service = ReviewService(work, journal, media, shared_fraction=shared_fraction)
    router = APIRouter(prefix="/api")

    @router.get("/review")
    def describe() -> dict[str, Any]:
        return {"reasons": REASONS}

    @router.post("/session")
    def start(body: SessionBody) -> dict[str, Any]:
        return service.start(body.reviewer)

    @router.get("/rows/{row_id}")
    def show(row_id: str, reviewer: str) -> dict[str, Any]:
        return service.show(reviewer, row_id)

    @router.post("/rows/{row_id}")
    def decide(row_id: str, body: DecisionBody) -> dict[str, Any]:
        return service.decide(body.reviewer, row_id, body)

    return create_pages("Review", STATIC, media, router, allowed_hosts=allowed_hosts), service
