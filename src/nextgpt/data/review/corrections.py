"""Corrections of a dialogue: other texts, and other candidates for its media. Everything else stays as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from nextgpt.data.build.row import BuildRow, BuiltMessage, Part
from nextgpt.errors import ConfigError

MAX_TEXT_CHARS = 20_000


class Correction(BaseModel):
    """New content of one part."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    message: Annotated[int, Field(ge=0)]
    part: Annotated[int, Field(ge=0)]
    text: Annotated[str | None, Field(max_length=MAX_TEXT_CHARS)] = None
    candidate: Annotated[int | None, Field(ge=0)] = None
    """Index among the medium's candidates."""


def correct(row: BuildRow, corrections: Sequence[Correction]) -> tuple[BuiltMessage, ...] | None:
    """Return the corrected messages; ``None`` if nothing changes.

    Raises:
        ConfigError: A correction names a part that the dialogue does not have, or removes all of a text.
    """
    changes = {(one.message, one.part): one for one in corrections}
    messages = tuple(
        message.model_copy(
            update={
                "content": tuple(
                    _correct_part(row, part, changes.pop((number, index), None))
                    for index, part in enumerate(message.content)
                )
            }
        )
        for number, message in enumerate(row.messages)
    )
    if changes:
        place = "message {}, part {}".format(*next(iter(changes)))
        raise ConfigError(f"{row.id} has no {place}. Reload the page.")
    return None if messages == row.messages else messages


def corrections_of(row: BuildRow, messages: Sequence[BuiltMessage] | None) -> list[dict[str, object]]:
    """Return the corrections that lead from a row to ``messages``, as the page shows them."""
    corrections: list[dict[str, object]] = []
    for number, (old, new) in enumerate(zip(row.messages, messages or (), strict=False)):
        for index, (before, after) in enumerate(zip(old.content, new.content, strict=False)):
            place: Mapping[str, object] = {"message": number, "part": index}
            if before.text != after.text:
                corrections.append({**place, "text": after.text})
            if before.path != after.path:
                paths = [candidate.path for candidate in before.candidates]
                corrections.append({**place, "candidate": paths.index(after.path) if after.path in paths else None})
    return corrections


def _correct_part(row: BuildRow, part: Part, change: Correction | None) -> Part:
    if change is None:
        return part
    if part.type == "text":
        text = (change.text or "").strip()
        if not text or change.candidate is not None:
            raise ConfigError(f"{row.id}: a text cannot be empty; expected words. Drop the dialogue instead.")
        return part.model_copy(update={"text": text})
    if change.text is not None or change.candidate is None or change.candidate >= len(part.candidates):
        raise ConfigError(f"{row.id}: {part.type} has {len(part.candidates)} candidates. Reload the page.")
    return part.with_candidate(part.candidates[change.candidate])
