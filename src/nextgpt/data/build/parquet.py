"""Parquet with the media inside and the features of Hugging Face ``datasets``; needs pyarrow."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nextgpt.data.build.row import BuildRow
from nextgpt.errors import ConfigError

ROWS_PER_GROUP = 100
"""Rows in memory at a time, with their media."""
COLUMNS = {"images": ("image", "Image"), "audios": ("audio", "Audio"), "videos": ("video", "Video")}
"""Modality and feature type by column."""


def write_parquet(rows: Sequence[BuildRow], work: Path, path: Path) -> None:
    """Write one row per dialogue, media in the order of their parts. Raises :class:`ConfigError` without pyarrow."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise ConfigError(
            "The export parquet needs the package pyarrow, which is not installed. pip install 'nextgpt[parquet]', or "
            "leave parquet out of export."
        ) from None
    medium = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    part = pa.struct(
        [("type", pa.string()), ("text", pa.string()), ("caption", pa.string()), ("is_edit", pa.bool_()),
         ("source", pa.string()), ("licence", pa.string())]
    )  # fmt: skip
    message = pa.struct([("role", pa.string()), ("content", pa.list_(part))])
    fields = [("id", pa.string()), ("topic", pa.string()), ("language", pa.string()), ("messages", pa.list_(message))]
    fields += [(column, pa.list_(medium)) for column in COLUMNS]
    schema = pa.schema(fields).with_metadata({"huggingface": json.dumps({"info": {"features": _features()}})})
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, len(rows), ROWS_PER_GROUP):
            group = [_to_dict(row, work) for row in rows[start : start + ROWS_PER_GROUP]]
            writer.write_table(pa.Table.from_pylist(group, schema=schema))


def _to_dict(row: BuildRow, work: Path) -> dict[str, Any]:
    keys = ("type", "text", "caption", "is_edit", "source", "licence")
    messages = [
        {"role": message.role, "content": [{key: getattr(part, key) for key in keys} for part in message.content]}
        for message in row.messages
    ]
    media = {
        column: [
            {"bytes": (work / part.path).read_bytes(), "path": Path(part.path).name}
            for part in row.media
            if part.type == modality and part.path
        ]
        for column, (modality, _) in COLUMNS.items()
    }
    return {"id": row.id, "topic": row.plan.topic, "language": row.plan.language, "messages": messages, **media}


def _features() -> dict[str, Any]:
    """Return the features as ``datasets`` stores them. Media stay bytes: decoding needs torchcodec."""
    string, flag = {"dtype": "string", "_type": "Value"}, {"dtype": "bool", "_type": "Value"}
    part = dict.fromkeys(("type", "text", "caption", "source", "licence"), string) | {"is_edit": flag}
    message = {"role": string, "content": {"feature": part, "_type": "List"}}
    media = {
        column: {"feature": {"decode": False, "_type": kind}, "_type": "List"} for column, (_, kind) in COLUMNS.items()
    }
    texts = {"id": string, "topic": string, "language": string}
    return {**texts, "messages": {"feature": message, "_type": "List"}, **media}
