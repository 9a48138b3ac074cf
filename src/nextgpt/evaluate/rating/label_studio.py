"""Exchange with Label Studio: tasks, labelling configurations and media out, annotations in.

::

    DIR/<form>/config.xml    labelling configuration of a project; a form is a set of media, e.g. image+audio
    DIR/<form>/tasks.json    its tasks, to be imported without predictions
    DIR/media/<id>.<suffix>  media by opaque ids

Every annotator gets the order of the first rater, repeats and controls included. Annotations are read back from
Label Studio's export in the format JSON.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from pydantic import ValidationError

from nextgpt.annotation.journal import Journal
from nextgpt.annotation.label_studio import MEDIA_TAGS, MEDIA_URL, annotator_name, read_annotations
from nextgpt.annotation.pages import opaque_id
from nextgpt.errors import ConfigError
from nextgpt.evaluate.rating.material import Material, ShownParts
from nextgpt.evaluate.rating.server import answer_parts, rater_tasks
from nextgpt.evaluate.rating.study import CRITERIA, MAX_SCORE, Answer, Choice, Judgement, Rater, Study, StudyFile, Task
from nextgpt.evaluate.standard.items import MediumEntry
from nextgpt.media.save_media import wrap_write_errors

CHOICES: dict[str, Choice] = {"A is better": "left", "About equal": "tie", "B is better": "right"}


@dataclass
class ImportCounts:
    """Outcome of an import."""

    added: int = 0
    known: int = 0
    """Annotations that the file holds already."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Annotations that were left out, by reason."""


def export_tasks(study: Study, material: Material, folder: Path, *, media_url: str = MEDIA_URL) -> dict[str, int]:
    """Write tasks and media; return the number of tasks by form. Raises :class:`MediaError`."""
    forms: dict[str, list[dict[str, Any]]] = {}
    configs: dict[str, str] = {}
    with wrap_write_errors(folder):
        (folder / "media").mkdir(parents=True, exist_ok=True)
        for task in rater_tasks(StudyFile(study, {}, {}), material, 0):
            data, tags = _task_data(study, material, task, folder / "media", media_url)
            form = _form_name(tags)
            forms.setdefault(form, []).append({"data": data})
            configs[form] = _config(study, tags)
        for form, tasks in forms.items():
            (folder / form).mkdir(exist_ok=True)
            (folder / form / "config.xml").write_text(configs[form], encoding="utf-8")
            (folder / form / "tasks.json").write_text(json.dumps(tasks, indent=1, ensure_ascii=False) + "\n")
    return {form: len(tasks) for form, tasks in sorted(forms.items())}


def import_annotations(path: Path, journal: Journal, material: Material) -> ImportCounts:
    """Append annotations to a study's file; those that it holds already are skipped.

    Raises:
        ConfigError: The file is not an export of tasks, or of another study.
    """
    file = StudyFile.from_rows(journal.rows, str(journal.path))
    tasks = {task.id: (position, task) for position, task in enumerate(rater_tasks(file, material, 0))}
    counts = ImportCounts()
    for task_id, annotation in read_annotations(path, "task"):
        if task_id not in tasks:
            raise ConfigError(f"{path}: task {task_id!r} is not one of {journal.path}. Choose the file of its study.")
        if annotation.get("was_cancelled"):
            counts.skipped["skipped by the annotator"] += 1
            continue
        judgement = _judgement(annotation)
        if judgement is None or (problem := judgement.problem(file.study.mode)):
            counts.skipped["incomplete" if judgement is None else problem] += 1
            continue
        position, task = tasks[task_id]
        _add(file, journal, counts, Answer(
            rater=annotator_name(annotation), position=position, task=task, judgement=judgement, at=_time(annotation)
        ))  # fmt: skip
    return counts


def _add(file: StudyFile, journal: Journal, counts: ImportCounts, answer: Answer) -> None:
    earlier = file.answers.get((answer.rater, answer.task.id))
    if earlier is not None and earlier.judgement == answer.judgement:
        counts.known += 1
        return
    if answer.rater not in file.raters:
        rater = Rater(rater=answer.rater, index=len(file.raters))
        journal.append(rater.model_dump())
        file.add(rater)
    journal.append(answer.model_dump())
    file.add(answer)
    counts.added += 1


def _task_data(
    study: Study, material: Material, task: Task, media: Path, media_url: str
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Return the fields of a task, and its tags: pairs of tag and field in the order of the page."""
    data: dict[str, Any] = {"task": task.id}
    lines, tags = [], [("Paragraphs", "request")]
    for message, folder in material.request(task.item):
        text = " ".join(part.text for part in message.parts if not isinstance(part, MediumEntry))
        lines.append({"author": message.role, "text": text})
        tags += _add_media(data, "request", ShownParts(message.parts, folder), study.secret, media, media_url)
    data["request"] = lines
    names = ("answer",) if len(task.shown) == 1 else ("answer_A", "answer_B")
    for name, shown in zip(names, task.shown, strict=True):
        answer = answer_parts(study, material, shown)
        data[name] = " ".join(part.text for part in answer.parts if not isinstance(part, MediumEntry)) or "(no text)"
        tags += [("Text", name), *_add_media(data, name, answer, study.secret, media, media_url)]
    return data, tags


def _add_media(
    data: dict[str, Any], prefix: str, shown: ShownParts, secret: str, media: Path, media_url: str
) -> Iterator[tuple[str, str]]:
    """Copy media under opaque names and add their addresses to the task; yield their tags."""
    for part in shown.parts:
        if not isinstance(part, MediumEntry) or part.type not in MEDIA_TAGS:
            continue
        path = shown.folder / part.path
        name = f"{opaque_id(secret, str(path.absolute()))}{path.suffix}"
        if not (media / name).exists():
            shutil.copyfile(path, media / name)
        number = 1 + sum(key.startswith(f"{prefix}_{part.type}") for key in data)
        field_name = f"{prefix}_{part.type}_{number}"
        data[field_name] = f"{media_url}{name}"
        yield MEDIA_TAGS[part.type], field_name


def _form_name(tags: Sequence[tuple[str, str]]) -> str:
    names = [name.replace("_", "-") for tag, name in tags if tag not in ("Paragraphs", "Text")]
    return "+".join(names) or "text"


def _config(study: Study, tags: Sequence[tuple[str, str]]) -> str:
    """Return the labelling configuration of a form."""
    lines = ["<View>"]
    for tag, name in tags:
        layout = ' layout="dialogue" nameKey="author" textKey="text"' if tag == "Paragraphs" else ""
        if tag in ("Paragraphs", "Text"):
            lines.append(f"  <Header value={quoteattr(name.replace('_', ' ').capitalize())}/>")
        lines.append(f'  <{tag} name="{name}" value="${name}"{layout}/>')
    if study.mode == "pairs":
        lines.append('  <Choices name="choice" toName="request" choice="single" required="true">')
        lines += [f'    <Choice value="{label}"/>' for label in CHOICES]
        lines.append("  </Choices>")
    else:
        for criterion in CRITERIA:
            lines.append(f"  <Header value={quoteattr(criterion.question)}/>")
            lines.append(
                f'  <Rating name="{criterion.name}" toName="request" maxRating="{MAX_SCORE}" required="true"/>'
            )
    lines.append('  <TextArea name="comment" toName="request" placeholder="Comment (optional)" maxSubmissions="1"/>')
    return "\n".join([*lines, "</View>"]) + "\n"


def _judgement(annotation: dict[str, Any]) -> Judgement | None:
    """Return the rating of an annotation; ``None`` if a value is not of the exported configuration."""
    scores: dict[str, Any] = {}
    fields: dict[str, Any] = {"seconds": annotation.get("lead_time") or 0}
    try:
        for result in annotation.get("result", ()):
            name, value = result["from_name"], result["value"]
            if result["type"] == "rating":
                scores[name] = value["rating"]
            elif result["type"] == "choices":
                fields["choice"] = CHOICES[value["choices"][0]]
            elif result["type"] == "textarea":
                fields["comment"] = "\n".join(value["text"])[:2000]
        return Judgement(scores=scores or None, **fields)
    except (KeyError, IndexError, TypeError, ValidationError):
        return None


def _time(annotation: dict[str, Any]) -> float:
    try:
        return datetime.fromisoformat(str(annotation["created_at"])).timestamp()
    except (KeyError, ValueError):
        return 0.0
