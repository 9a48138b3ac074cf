"""Exchange of a review with Label Studio: tasks, labelling configurations and media out, annotations in.

::

    FOLDER/form-01/config.xml   labelling configuration of a project; dialogues of one form have the same parts
    FOLDER/form-01/tasks.json   its tasks, to be imported without predictions
    FOLDER/media/<id>.<suffix>  media

Annotations are read back from Label Studio's export in the format JSON.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from nextgpt.annotation.journal import Journal
from nextgpt.annotation.label_studio import MEDIA_TAGS, MEDIA_URL, annotator_name, read_annotations
from nextgpt.annotation.pages import opaque_id
from nextgpt.data.build.review import Decision, read_decisions
from nextgpt.data.build.row import BuildRow, Part
from nextgpt.data.review.assignment import read_reviewable
from nextgpt.data.review.corrections import Correction, correct
from nextgpt.data.review.server import REASONS
from nextgpt.errors import ConfigError
from nextgpt.media.save_media import wrap_write_errors


@dataclass
class ImportCounts:
    """Outcome of an import."""

    added: int = 0
    known: int = 0
    """Decisions that the work directory has already."""
    skipped: int = 0
    """Annotations without a decision, or with values that are not of the exported configuration."""


def export_tasks(work: Path, folder: Path, *, media_url: str = MEDIA_URL) -> int:
    """Write the tasks of all dialogues to review; return their number. Raises :class:`MediaError`."""
    forms: dict[str, list[dict[str, Any]]] = {}
    rows = read_reviewable(work)
    with wrap_write_errors(folder):
        (folder / "media").mkdir(parents=True, exist_ok=True)
        for row in rows:
            forms.setdefault(_config(row), []).append({"data": _task_data(row, work, folder / "media", media_url)})
        for number, (config, tasks) in enumerate(forms.items(), 1):
            form = folder / f"form-{number:02d}"
            form.mkdir(exist_ok=True)
            (form / "config.xml").write_text(config, encoding="utf-8")
            (form / "tasks.json").write_text(json.dumps(tasks, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return len(rows)


def import_annotations(path: Path, work: Path, journal: Journal) -> ImportCounts:
    """Append the decisions of an export; those that are known already are skipped.

    Raises:
        ConfigError: The file is not an export of tasks, or of another work directory.
    """
    rows = {row.id: row for row in read_reviewable(work)}
    last = {(one.id, one.reviewer): one for one in read_decisions(journal.path)}
    counts = ImportCounts()
    for row_id, annotation in read_annotations(path, "id"):
        if row_id not in rows:
            raise ConfigError(f"{path}: {row_id!r} is no dialogue of {work}. Choose the work directory of its export.")
        decision = None if annotation.get("was_cancelled") else _decision(rows[row_id], annotation)
        if decision is None:
            counts.skipped += 1
            continue
        known = last.get((decision.id, decision.reviewer))
        if known is not None and known.model_copy(update={"at": decision.at}) == decision:
            counts.known += 1
            continue
        journal.append(decision.model_dump(exclude_none=True, mode="json"))
        last[decision.id, decision.reviewer] = decision
        counts.added += 1
    return counts


def _numbered_parts(row: BuildRow) -> Iterator[tuple[int, int, int, Part]]:
    """Yield each part with its number in the task, from 1, and the indices of its message and itself."""
    number = 0
    for message_index, message in enumerate(row.messages):
        for part_index, part in enumerate(message.content):
            number += 1
            yield number, message_index, part_index, part


def _task_data(row: BuildRow, work: Path, media: Path, media_url: str) -> dict[str, Any]:
    data: dict[str, Any] = {
        "id": row.id,
        "dialogue": [{"author": message.role, "text": message.text or "(media)"} for message in row.messages],
    }
    for number, _, _, part in _numbered_parts(row):
        if part.type == "text":
            data[f"text_{number}"] = part.text or ""
            continue
        data[f"caption_{number}"] = part.caption or part.type
        for index, candidate in enumerate(part.candidates, 1):
            source = work / candidate.path
            name = f"{opaque_id('', candidate.path)}{source.suffix}"
            if source.is_file() and not (media / name).exists():
                shutil.copyfile(source, media / name)
            data[f"{part.type}_{number}_{index}"] = f"{media_url}{name}"
    return data


def _config(row: BuildRow) -> str:
    """Return the labelling configuration for dialogues with the same parts as ``row``."""
    lines = [
        "<View>",
        '  <Paragraphs name="dialogue" value="$dialogue" layout="dialogue" nameKey="author" textKey="text"/>',
    ]
    for number, message_index, _, part in _numbered_parts(row):
        lines.append(f"  <Header value={quoteattr(row.messages[message_index].role.capitalize())}/>")
        if part.type == "text":
            lines.append(
                f'  <TextArea name="text_{number}" toName="dialogue" value="$text_{number}" '
                'maxSubmissions="1" editable="true"/>'
            )
            continue
        lines.append(f'  <Text name="caption_{number}" value="$caption_{number}"/>')
        tag = MEDIA_TAGS[part.type]
        names = [f"{part.type}_{number}_{index}" for index in range(1, len(part.candidates) + 1)]
        lines += [f'  <{tag} name="{name}" value="${name}"/>' for name in names]
        if len(names) > 1:
            lines += _choices(f"medium_{number}", [str(index) for index in range(1, len(names) + 1)])
    lines += _choices("decision", ["keep", "drop"], is_required=True)
    lines += _choices("reason", REASONS)
    return "\n".join([*lines, "</View>"]) + "\n"


def _choices(name: str, values: tuple[str, ...] | list[str], *, is_required: bool = False) -> list[str]:
    required = ' required="true"' if is_required else ""
    head = f'  <Choices name="{name}" toName="dialogue" choice="single"{required}>'
    return [head, *(f"    <Choice value={quoteattr(value)}/>" for value in values), "  </Choices>"]


def _decision(row: BuildRow, annotation: dict[str, Any]) -> Decision | None:
    """Return the decision of an annotation; ``None`` if it is incomplete or has unknown values."""
    places = {str(number): (message, part) for number, message, part, _ in _numbered_parts(row)}
    values: dict[str, str] = {}
    corrections: list[Correction] = []
    try:
        for result in annotation["result"]:
            kind, _, number = str(result["from_name"]).partition("_")
            value = result["value"]
            if kind == "text":
                message, part = places[number]
                corrections.append(Correction(message=message, part=part, text="\n".join(value["text"])))
            elif kind == "medium":
                message, part = places[number]
                corrections.append(Correction(message=message, part=part, candidate=int(value["choices"][0]) - 1))
            else:
                values[kind] = value["choices"][0]
        decision = values["decision"]
        messages = correct(row, corrections) if decision == "keep" else None
        reason = values.get("reason", "other") if decision == "drop" else ""
        return Decision(
            id=row.id,
            reviewer=annotator_name(annotation),
            decision=decision,  # type: ignore[arg-type]
            reason=reason,
            messages=messages,
            at=str(annotation.get("created_at", "")),
        )
    except (KeyError, IndexError, TypeError, ValueError):
        return None
