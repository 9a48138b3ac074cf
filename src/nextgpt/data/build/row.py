"""A row of the stage files: one planned dialogue and its current state."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from nextgpt.config import Config
from nextgpt.data.build.files import write_atomically
from nextgpt.errors import ConfigError

Kind = Literal["mosit", "t2x", "x2t"]
Intent = Literal["request", "implicit", "edit", "cross_modal", "question", "refusal", "chat"]
Status = Literal["kept", "dropped", "pending"]
Stage = Literal["plan", "write", "check", "media", "filter", "review"]
Role = Literal["user", "assistant"]

STAGES: tuple[Stage, ...] = ("plan", "write", "check", "media", "filter", "review")
"""All stages that write rows, in order; the export follows."""


class GivenMedium(Config):
    """A captioned medium of a corpus that a dialogue is written around."""

    modality: str
    caption: str
    path: str = ""
    """File, or empty if only its caption is given."""
    source: str = ""
    licence: str = ""


class PlannedTurn(Config):
    """A request and its reply."""

    intent: Intent
    user_media: tuple[str, ...] = ()
    """Modalities of the media in the request, at most one each."""
    assistant_media: tuple[str, ...] = ()
    """Modalities of the media in the reply, at most one each."""

    def media(self, role: Role) -> tuple[str, ...]:
        """Modalities of the media of one role."""
        return self.user_media if role == "user" else self.assistant_media


class DialoguePlan(Config):
    """Plan of a dialogue: topic, language and turns."""

    kind: Kind
    topic: str
    language: str = "en"
    """ISO 639-1 code of the texts; captions are English."""
    turns: tuple[PlannedTurn, ...]
    given: GivenMedium | None = None
    """Replaces the first planned medium."""

    @property
    def mix(self) -> tuple[str, ...]:
        """Modalities of all media, in the order of the table of modalities."""
        used = {name for turn in self.turns for name in (*turn.user_media, *turn.assistant_media)}
        return tuple(name for name in ("image", "audio", "video") if name in used)

    @property
    def has_media_on_both_sides(self) -> bool:
        """True if users and assistant show media."""
        return any(turn.user_media for turn in self.turns) and any(turn.assistant_media for turn in self.turns)


class Candidate(Config):
    """A candidate file for a caption."""

    path: str
    """Relative to the work directory."""
    score: float | None = None
    """Cosine of its encoder vector with that of the caption, or the score of the retrieval."""
    source: str = ""
    """Model, endpoint or corpus that it comes from."""
    licence: str = ""
    made_by: str = ""
    """``synthesized by …`` or ``retrieved from …``, with its settings."""


class Part(Config):
    """Text, or a medium with the file that was chosen and the alternatives."""

    type: str
    """``text`` or a modality."""
    text: str | None = None
    caption: str | None = None
    is_edit: bool = False
    path: str | None = None
    score: float | None = None
    source: str = ""
    licence: str = ""
    made_by: str = ""
    candidates: tuple[Candidate, ...] = ()
    """All files made for the caption, best first, the chosen one included."""

    def with_candidate(self, candidate: Candidate) -> Part:
        """Return the medium with another file; its alternatives stay."""
        return self.model_copy(update=candidate.model_dump())


class BuiltMessage(Config):
    """Parts of one role."""

    role: Role
    content: tuple[Part, ...]

    @property
    def text(self) -> str:
        """Text of the message."""
        return "\n".join(part.text for part in self.content if part.text is not None)

    @property
    def media(self) -> tuple[Part, ...]:
        """Media of the message, in order."""
        return tuple(part for part in self.content if part.type != "text")


class BuildRow(Config):
    """One planned dialogue."""

    id: str
    status: Status = "kept"
    stage: Stage = "plan"
    """Stage that set the status."""
    reason: str = ""
    """Name of what is wrong, for counting; empty if kept."""
    detail: str = ""
    """Explanation for people."""
    plan: DialoguePlan
    messages: tuple[BuiltMessage, ...] = ()

    @property
    def is_kept(self) -> bool:
        """True if later stages work on the row."""
        return self.status == "kept"

    @property
    def text(self) -> str:
        """All text of the dialogue, one line per message."""
        return "\n".join(message.text for message in self.messages)

    @property
    def media(self) -> tuple[Part, ...]:
        """All media, in order."""
        return tuple(part for message in self.messages for part in message.media)

    def dropped(self, stage: Stage, reason: str, detail: str = "") -> BuildRow:
        """Return the row as dropped by a stage."""
        return self.model_copy(update={"status": "dropped", "stage": stage, "reason": reason, "detail": detail})

    def pending(self, stage: Stage, reason: str, detail: str = "") -> BuildRow:
        """Return the row as unfinished; another run works on it again."""
        return self.model_copy(update={"status": "pending", "stage": stage, "reason": reason, "detail": detail})


def write_rows(rows: Iterable[BuildRow], path: Path) -> None:
    """Write a complete stage file."""
    lines = (row.model_dump_json(exclude_defaults=True, exclude_none=True) for row in rows)
    write_atomically(path, "".join(f"{line}\n" for line in lines))


def read_rows(path: Path) -> Iterator[BuildRow]:
    """Read a stage file. Raises :class:`ConfigError` if it is missing or damaged."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read ({error.strerror}); expected rows of a build. Run nextgpt data build first."
        ) from None
    for number, line in enumerate(lines, start=1):
        try:
            yield BuildRow.model_validate(json.loads(line))
        except (ValidationError, json.JSONDecodeError) as error:
            raise ConfigError(
                f"{path}, line {number} is no row of a build ({str(error).splitlines()[0]}); expected one that "
                "nextgpt data build wrote. Delete the file and build again."
            ) from None
