"""Material of a study: requests, the answers of all systems, and true answers, read from run folders."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nextgpt.annotation.journal import Journal
from nextgpt.errors import ConfigError, unknown_name_message
from nextgpt.evaluate.rating.study import Mode, Study, StudyFile
from nextgpt.evaluate.standard.items import EvalItem, MediumEntry, MessageEntry, TextEntry
from nextgpt.evaluate.standard.records import ItemRecord
from nextgpt.evaluate.standard.run_folder import RunFolder, open_run

PartEntry = TextEntry | MediumEntry
CONTROL_SYSTEMS = ("truth", "shuffled")
"""Ceiling and floor of a run. Each rater sees one true and one shuffled answer as a control instead."""


@dataclass(frozen=True)
class ShownParts:
    """Text and media, and the folder that the media paths are relative to."""

    parts: tuple[PartEntry, ...]
    folder: Path

    @property
    def files(self) -> tuple[Path, ...]:
        """Files of the media, in order."""
        return tuple(self.folder / part.path for part in self.parts if isinstance(part, MediumEntry))


@dataclass(frozen=True)
class Material:
    """Requests and answers by item; systems by their names."""

    items: Mapping[str, EvalItem]
    data: Mapping[str, Path]
    """Folder of each item's own media."""
    answers: Mapping[tuple[str, str], ShownParts]
    """Answer by item and name of the system."""
    left_out: Mapping[str, int]
    """Number of items that cannot be rated, by reason."""

    @property
    def systems(self) -> tuple[str, ...]:
        """Names of the systems, in alphabetical order."""
        return tuple(sorted({system for _, system in self.answers}))

    def request(self, item: str) -> tuple[tuple[MessageEntry, Path], ...]:
        """Return the messages of a request, with the folder of their media."""
        return tuple((message, self.data[item]) for message in self.items[item].request)

    def true_answer(self, item: str) -> ShownParts | None:
        """Return the reference media of an item, else its first reference text; ``None`` if it has neither."""
        entry = self.items[item]
        shown = ShownParts(entry.reference_media, self.data[item])
        if entry.reference_media and all(path.is_file() for path in shown.files):
            return shown
        if entry.references and not entry.expected_modalities:
            return ShownParts((TextEntry(type="text", text=entry.references[0]),), self.data[item])
        return None


def read_material(runs: Sequence[Path], systems: Sequence[str] = ()) -> Material:
    """Read runs; items that one of the systems did not answer are left out.

    Args:
        systems: Names of the systems to rate; by default all but :data:`CONTROL_SYSTEMS`.

    Raises:
        ConfigError: A run cannot be read, a system is unknown, or no item has all answers.
    """
    folders = [open_run(path) for path in runs]
    if not folders:
        raise ConfigError("No run was given; expected one or more folders of nextgpt eval --out DIR.")
    answers: dict[tuple[str, str], ShownParts] = {}
    reasons: dict[str, str] = {}
    rated = _choose(_system_names(folders), systems)
    for (folder, system), name in rated.items():
        run = folders[folder]
        for record in run.records(system):
            shown = ShownParts(record.parts, run.system_dir(system))
            if reason := _problem(record, shown):
                reasons.setdefault(record.id, reason)
            answers[record.id, name] = shown
    items = {item.id: item for run in folders for item in run.items}
    data = {item.id: run.data for run in folders for item in run.items}
    names = set(rated.values())
    for item in items:
        if missing := sorted(name for name in names if (item, name) not in answers):
            reasons.setdefault(item, f"no answer of {missing[0]}")
    kept = {name: item for name, item in items.items() if name not in reasons}
    if not kept:
        raise ConfigError(
            f"{', '.join(map(str, runs))}: no item has an answer of every system "
            f"({', '.join(sorted(names)) or 'there is none'}). Complete the runs, or choose runs of the same items."
        )
    shown_answers = {key: shown for key, shown in answers.items() if key[0] in kept}
    return Material(kept, data, shown_answers, dict(Counter(reasons.values())))


def create_study(runs: Sequence[Path], material: Material, *, mode: Mode, seed: int, per_rater: int) -> Study:
    """Create a study with new opaque keys. Raises :class:`ConfigError` if there is nothing to compare."""
    if mode == "pairs" and len(material.systems) < 2:
        raise ConfigError("pairs compares systems; the runs have answers of one only. Use --mode scores.")
    keys = [secrets.token_hex(4) for _ in material.systems]
    return Study(
        mode=mode,
        seed=seed,
        secret=secrets.token_hex(16),
        per_rater=per_rater,
        runs=tuple(str(path.absolute()) for path in runs),
        systems=dict(zip(keys, material.systems, strict=True)),
        items=tuple(material.items),
        has_true_answers=any(material.true_answer(item) for item in material.items),
        left_out=dict(material.left_out),
    )


def open_study(journal: Journal, material: Material, new_study: Study) -> Study:
    """Write ``wanted`` into an empty file, or return the study that the file holds.

    Raises:
        ConfigError: The file holds another study, or its runs have lost items.
    """
    if not journal.rows:
        journal.append(new_study.model_dump())
        return new_study
    study = StudyFile.from_rows(journal.rows, str(journal.path)).study
    facts = {
        "systems": (sorted(study.systems.values()), sorted(new_study.systems.values())),
        "mode": (study.mode, new_study.mode),
        "seed": (study.seed, new_study.seed),
        "tasks per rater": (study.per_rater, new_study.per_rater),
    }
    for name, (old, new) in facts.items():
        if old != new:
            raise ConfigError(
                f"{journal.path} is a study with {name} {old}; got {new}. Repeat its settings, or choose another --out."
            )
    if lost := [item for item in study.items if item not in material.items]:
        raise ConfigError(
            f"{journal.path}: the runs have no complete answers for item {lost[0]} any more. Restore them."
        )
    return study


def material_of(journal: Journal) -> Material:
    """Read the runs of a study's file. Raises :class:`ConfigError` if it is empty or its runs are missing."""
    study = StudyFile.from_rows(journal.rows, str(journal.path)).study
    return read_material([Path(run) for run in study.runs], tuple(study.systems.values()))


def _problem(record: ItemRecord, shown: ShownParts) -> str | None:
    if record.error is not None:
        return "an answer failed"
    return None if all(path.is_file() for path in shown.files) else "a medium of an answer is missing"


def _choose(names: Mapping[tuple[int, str], str], wanted: Sequence[str]) -> dict[tuple[int, str], str]:
    for name in wanted:
        if name not in names.values():
            raise ConfigError(unknown_name_message("system", name, sorted(names.values())))
    return {key: name for key, name in names.items() if (name in wanted if wanted else key[1] not in CONTROL_SYSTEMS)}


def _system_names(folders: Sequence[RunFolder]) -> dict[tuple[int, str], str]:
    """Name systems; where two runs have one of the same name, the name of the run stands before it."""
    pairs = [(index, system) for index, run in enumerate(folders) for system in run.systems]
    counts = Counter(system for _, system in pairs)
    names = {
        (index, system): system if counts[system] == 1 else f"{folders[index].path.name}/{system}"
        for index, system in pairs
    }
    if len(set(names.values())) < len(names):
        raise ConfigError("Two runs have the same folder name and systems. Rename one of the folders.")
    return names
