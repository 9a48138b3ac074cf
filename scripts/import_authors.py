"""Copy the files of authors into the package: python scripts/import_authors.py FOLDER

``NAME.json`` becomes a training author, ``dev_NAME.json`` a development author, ``test_NAME.json`` test items, and
``NAME.jsonl`` whole messages and dialogues of a training author, one per line; those that an evaluation has too, in
words of four or more, are left out. Files with invalid templates are refused. The lists ``media_nouns``,
``media_clauses``, ``words_only``, ``remarks_before`` and ``remarks_after`` of a training author join those of
``shared.json``, which all authors use. Spoken words in test items get their full name (``hello``: ``the word hello``);
items with labels outside the small world are left out and counted.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from nextgpt.errors import ConfigError
from nextgpt.evaluate.miniworld.people import DEV_DIR, TEST_DIR
from nextgpt.miniworld.language.phrasings.author import DATA_DIR, SLOT, parse_author
from nextgpt.miniworld.language.phrasings.labels import DialogueLabel, TurnLabel, WrittenItems, read_items
from nextgpt.miniworld.language.phrasings.written import WRITTEN_DIR
from nextgpt.miniworld.specs import WORD_SOURCES

SPOKEN = {source.removeprefix("the word "): source for source in WORD_SOURCES}
LISTS = {"single": TurnLabel, "dialogues": DialogueLabel, "given": TurnLabel}
SHARED_LISTS: dict[str, frozenset[str]] = {
    "words_only": frozenset({"thing", "plural", "noun", "source"}),
    "remarks_before": frozenset(),
    "remarks_after": frozenset(),
}
"""Lists of an author that all authors use, with the slots of their templates."""
SHARED_BY_MODALITY = ("media_nouns", "media_clauses")
MAX_LINE = 110


def main(folder: Path) -> None:
    """Import all files of ``folder``."""
    for path in sorted(folder.glob("*.json")):
        print(_import_items(path) if path.stem.startswith("test_") else _import_author(path))
    for path in sorted(folder.glob("*.jsonl")):
        if path.stem.startswith(("dev_", "test_")):
            raise SystemExit(f"{path} has items of the evaluation; expected one JSON object in {path.stem}.json.")
        print(_import_written(path))


def _import_author(path: Path) -> str:
    values = json.loads(path.read_text(encoding="utf-8"))
    shared = {key: values.pop(key) for key in (*SHARED_BY_MODALITY, *SHARED_LISTS) if key in values}
    try:
        author = parse_author(values, path.stem, where=str(path))
    except ConfigError as error:
        return f"refused: {error}"
    split, name = ("dev", path.name[4:]) if path.name.startswith("dev_") else ("train", path.name)
    if split == "train":
        _extend_shared(shared)
    write_json(DATA_DIR / split / name, author.model_dump(exclude={"name"}, exclude_defaults=True))
    return f"{split}/{name}: {sum(map(len, author.patterns.values()))} templates"


def _extend_shared(lists: Mapping[str, Any]) -> None:
    """Add templates and remarks to those of ``shared.json``, each once."""
    path = DATA_DIR / "shared.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    for key, added in lists.items():
        if key in SHARED_BY_MODALITY:
            for modality, templates in added.items():
                if invalid := [template for template in templates if SLOT.findall(template) != ["what"]]:
                    raise SystemExit(f"{key}: {invalid[0]!r} has other slots than one {{what}}. Correct the file.")
                values[key][modality] = _merged(values[key][modality], templates)
            continue
        allowed = SHARED_LISTS[key]
        if invalid := [template for template in added if not set(SLOT.findall(template)) <= allowed]:
            slots = ", ".join(sorted(allowed)) or "none"
            raise SystemExit(f"{key}: {invalid[0]!r} has other slots than {slots}. Correct the file.")
        values[key] = _merged(values[key], added)
    write_json(path, values)


def _merged(old: Sequence[str], new: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([*old, *new]))


def _import_items(path: Path) -> str:
    values = _with_full_names(json.loads(path.read_text(encoding="utf-8")))
    items = {name: [item for item in values[name] if _is_valid(label, item)] for name, label in LISTS.items()}
    target = DATA_DIR / "test" / path.name.removeprefix("test_")
    write_json(target, items)
    counts = ", ".join(f"{name} {len(valid)} of {len(values[name])}" for name, valid in items.items())
    return f"test/{target.name}: {counts}"


def _import_written(path: Path) -> str:
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    items = {
        "single": [line for line in lines if "turns" not in line and "given" not in line],
        "dialogues": [line for line in lines if "turns" in line],
        "given": [line for line in lines if "given" in line and "turns" not in line],
    }
    try:
        WrittenItems.model_validate(items)
    except ValidationError as error:
        return f"refused: {path}: {error}"
    held_out = _evaluation_texts()
    items = {name: [item for item in rows if not _texts(item) & held_out] for name, rows in items.items()}
    write_json(WRITTEN_DIR / f"{path.stem}.json", items)
    return f"{WRITTEN_DIR.name}/{path.stem}.json: {sum(map(len, items.values()))} of {len(lines)} items"


@cache
def _evaluation_texts() -> set[str]:
    """Return all messages of the evaluations that have four words or more; everybody says the shorter ones."""
    authors = [author for folder in (DEV_DIR, TEST_DIR) for author in read_items(folder).values()]
    turns = [turn for author in authors for turn in (*author.single, *author.given)]
    turns += [turn for author in authors for dialogue in author.dialogues for turn in dialogue.turns]
    return {words for turn in turns if len((words := _words_only(turn.text)).split()) > 3}


def _texts(item: Mapping[str, Any]) -> set[str]:
    return {_words_only(turn["text"]) for turn in item.get("turns", [item])}


def _words_only(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def _is_valid(label: type[TurnLabel] | type[DialogueLabel], item: Any) -> bool:
    try:
        label.model_validate(item)
    except ValidationError:
        return False
    return True


def _with_full_names(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: SPOKEN.get(v, v) if k == "source" else _with_full_names(v) for k, v in value.items()}
    return [_with_full_names(item) for item in value] if isinstance(value, list) else value


def write_json(path: Path, value: Any) -> None:
    """Write JSON with short values and turns on one line each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_format_json(value) + "\n", encoding="utf-8")


def _format_json(value: Any, indent: str = "") -> str:
    line = json.dumps(value, ensure_ascii=False)
    is_turn = isinstance(value, dict) and "text" in value
    if is_turn or not isinstance(value, (dict, list, tuple)) or len(indent) + len(line) <= MAX_LINE:
        return line
    inner = f"{indent} "
    if isinstance(value, dict):
        items = [f"{json.dumps(key)}: {_format_json(item, inner)}" for key, item in value.items()]
        return "{\n" + ",\n".join(inner + item for item in items) + f"\n{indent}}}"
    return "[\n" + ",\n".join(inner + _format_json(item, inner) for item in value) + f"\n{indent}]"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
