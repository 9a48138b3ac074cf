"""Review stage: apply the decisions of people to the filtered rows.

``decisions.jsonl`` in the work directory has one decision per line, appended by ``nextgpt data review``::

    {"id": "mosit-00003", "reviewer": "anna", "decision": "keep"}
    {"id": "mosit-00004", "reviewer": "anna", "decision": "drop", "reason": "the sound does not fit"}
    {"id": "mosit-00005", "reviewer": "ben", "decision": "keep", "messages": [...]}   texts or media changed

A reviewer's last decision about a row counts. If reviewers disagree, the row is dropped, as a set must be trusted.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from nextgpt.config import Config
from nextgpt.data.build.row import BuildRow, BuiltMessage
from nextgpt.errors import ConfigError

DECISIONS_FILE = "decisions.jsonl"


class Decision(Config):
    """Judgement of one person about one dialogue."""

    id: str
    reviewer: str
    decision: Literal["keep", "drop"]
    reason: str = ""
    messages: tuple[BuiltMessage, ...] | None = None
    """Corrected dialogue; ``None`` leaves it as it is."""
    at: str = ""
    """Time in ISO 8601."""


def read_decisions(path: Path) -> list[Decision]:
    """Read decisions in order; a last line that breaks off is ignored, as its write was interrupted.

    Raises:
        ConfigError: Another line is damaged.
    """
    if not path.is_file():
        return []
    *lines, rest = path.read_text(encoding="utf-8").split("\n")
    decisions: list[Decision] = []
    for number, line in enumerate([*lines, *([rest] if rest else [])], start=1):
        try:
            decisions.append(Decision.model_validate(json.loads(line)))
        except (ValidationError, json.JSONDecodeError) as error:
            if number > len(lines):
                break
            raise ConfigError(
                f"{path}, line {number} is no decision ({str(error).splitlines()[0]}); expected one that nextgpt data "
                "review wrote. Correct or remove the line."
            ) from None
    return decisions


def apply_decisions(rows: Sequence[BuildRow], work: Path) -> list[BuildRow]:
    """Drop or change rows as people decided; rows without a decision stay as they are."""
    last = {(decision.id, decision.reviewer): decision for decision in read_decisions(work / DECISIONS_FILE)}
    by_row: dict[str, list[Decision]] = {}
    for decision in last.values():
        by_row.setdefault(decision.id, []).append(decision)
    return [_apply(row, by_row.get(row.id, [])) for row in rows]


def _apply(row: BuildRow, decisions: Sequence[Decision]) -> BuildRow:
    if not row.is_kept or not decisions:
        return row
    drops = [decision for decision in decisions if decision.decision == "drop"]
    if drops:
        reason = "rejected" if len(drops) == len(decisions) else "disputed"
        return row.dropped("review", reason, "; ".join(f"{drop.reviewer}: {drop.reason}" for drop in drops))
    changed = [decision.messages for decision in decisions if decision.messages is not None]
    return row.model_copy(update={"stage": "review", **({"messages": changed[-1]} if changed else {})})
