"""Responses that several routes send, and their descriptions for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from starlette.responses import Response

from nextgpt.serve.file_store import StoredFile


def json_response(content: BaseModel, status: int = 200, **options: Any) -> Response:
    """Serialize a model; ``options`` are those of ``model_dump_json``."""
    return Response(content.model_dump_json(**options), status, media_type="application/json")


def file_response(file: StoredFile, content: bytes) -> Response:
    """Send a file; browsers save it and never run it."""
    headers = {
        "Content-Disposition": f'attachment; filename="{file.name}"',
        "Cache-Control": "private, no-store",
        "X-File-Id": file.id,
    }
    return Response(content, media_type=file.media_type, headers=headers)


def binary_response(*media_types: str) -> dict[str, Any]:
    """Describe a file of one of ``media_types``."""
    schema = {"schema": {"type": "string", "format": "binary"}}
    return {"description": "The file.", "content": dict.fromkeys(media_types, schema)}


def event_stream_response(event: type[BaseModel]) -> dict[str, Any]:
    """Describe the alternative of an event stream; FastAPI cannot reference ``event``, so its schema is inlined."""
    schema = event.model_json_schema(ref_template="#/components/schemas/{model}")
    definitions = schema.pop("$defs", {})
    return {"content": {"text/event-stream": {"schema": _inline(schema, definitions)}}}


def _inline(schema: Any, definitions: dict[str, Any]) -> Any:
    """Replace references to ``definitions`` by the definitions themselves."""
    if isinstance(schema, list):
        return [_inline(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    if name in definitions:
        return _inline(definitions[name], definitions)
    return {key: _inline(value, definitions) for key, value in schema.items()}
