"""The project's own form: messages of typed parts, one JSON object a line, or one in each sample of a tar.

::

    {"id": "7", "messages": [
      {"role": "user", "content": [{"type": "text", "text": "Draw a cat"}]},
      {"role": "assistant", "content": [{"type": "text", "text": "Here."},
                                        {"type": "image", "path": "cat.png", "caption": "a cat", "is_edit": false}]}]}
    {"id": "8", "pair": {"type": "image", "path": "dog.jpg", "caption": "a dog", "source": "URL", "licence": "CC0"}}

``source`` and ``licence`` of a medium are optional.

In a tar ``path`` is the member's suffix: ``7.json`` with ``"path": "0.png"`` stands beside ``7.0.png``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace

from nextgpt.data.corpus_file import CorpusFile, Row
from nextgpt.data.formats.base import Format, row_key
from nextgpt.data.formats.instructions import ROLES
from nextgpt.data.record import CaptionPair, Dialogue, MediaFile, Part, Record, Turn
from nextgpt.errors import unknown_name_message
from nextgpt.modality import MODALITIES

Find = Callable[[str, str], MediaFile]
"""``(modality, path) -> medium``."""
Name = Callable[[MediaFile], str]
"""Maps a medium to its written name."""


def parse_row(row: Row, find: Find) -> Record:
    """Read a row. Raises ``ValueError`` for an unknown type of part, a pair without caption, or no answer."""
    key = row_key(row, "?")
    if "pair" in row:
        medium = _medium(row["pair"], find)
        if not medium.caption:
            raise ValueError("the caption is empty")
        return CaptionPair(key, medium)
    turns = tuple(
        Turn(ROLES[message["role"]], tuple(_part(part, find) for part in _content(message["content"])))
        for message in row["messages"]
    )
    if not any(turn.role == "assistant" and turn.parts for turn in turns):
        raise ValueError("no assistant turn")
    return Dialogue(key, turns)


def format_row(record: Record, name: Name) -> Row:
    """Write a record, its media under ``name``."""
    if isinstance(record, CaptionPair):
        return {"id": record.key, "pair": _format_medium(record.medium, name)}
    return {
        "id": record.key,
        "messages": [
            {
                "role": turn.role,
                "content": [
                    {"type": "text", "text": part} if isinstance(part, str) else _format_medium(part, name)
                    for part in turn.parts
                ],
            }
            for turn in record.turns
        ],
    }


def _content(content: object) -> list:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)  # type: ignore[call-overload]


def _part(part: Row, find: Find) -> Part:
    return str(part["text"]) if part["type"] == "text" else _medium(part, find)


def _medium(part: Row, find: Find) -> MediaFile:
    if part["type"] not in MODALITIES:
        raise ValueError(unknown_name_message("type", str(part["type"]), ["text", *MODALITIES]))
    medium = find(part["type"], part["path"])
    texts = {name: str(part.get(name) or "") for name in ("caption", "source", "licence")}
    return replace(medium, is_edit=bool(part.get("is_edit", False)), **texts)


def _format_medium(medium: MediaFile, name: Name) -> Row:
    part = {"type": medium.modality, "path": name(medium)}
    part |= {name: text for name in ("caption", "source", "licence") if (text := getattr(medium, name))}
    return part | ({"is_edit": True} if medium.is_edit else {})


def _line(row: Row, document: CorpusFile) -> Iterator[Record]:
    yield parse_row(row, lambda modality, path: MediaFile(modality, document.find_media(modality, path)))


def _sample(row: Row, document: CorpusFile) -> Iterator[Record]:
    def find(modality: str, path: str) -> MediaFile:
        entry = row.get(path.lower())
        if isinstance(entry, MediaFile):
            return replace(entry, modality=modality)
        return MediaFile(modality, document.media / path)  # may be missing: media of the assistant need no file

    yield parse_row(json.loads(row["messages.json"]), find)


FORMATS = (
    Format("messages_jsonl", "this project's own: one JSON object per line", ("jsonl",), frozenset({"id"}), _line,
           any_of=frozenset({"messages", "pair"})),
    Format("messages_tar", "this project's own: tars written by nextgpt data pack", ("tar",),
           frozenset({"__key__", "messages.json"}), _sample),
)  # fmt: skip
