"""The format of a text answer, as both of OpenAI's APIs name it: plain text, any JSON object, or JSON of a schema.

::

    chat completions   response_format: {"type": "json_schema", "json_schema": {"name": …, "schema": {…}}}
    Responses API      text.format:     {"type": "json_schema", "name": …, "schema": {…}}
"""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import ConfigDict

from nextgpt.errors import ConfigError
from nextgpt.model.llm.json_constraint import check_schema
from nextgpt.serve.errors import ApiError
from nextgpt.serve.protocol.request_model import RequestModel

ANY_OBJECT = '{"type": "object"}'


class TextFormat(RequestModel):
    """Format of the text. A schema is always followed, with or without ``strict``."""

    model_config = ConfigDict(extra="allow")

    type: Literal["text", "json_object", "json_schema"] = "text"


def requested_schema(text_format: TextFormat, field: str) -> str | None:
    """Return the JSON text of the schema that the answer has to follow; None for plain text.

    Args:
        field: Name of the field in the request.

    Raises:
        ApiError: There is no schema, it cannot be followed, or the server lacks llguidance.
    """
    if text_format.type == "text":
        return None
    schema = ANY_OBJECT if text_format.type == "json_object" else json.dumps(_schema(text_format, field))
    try:
        check_schema(schema)
    except ConfigError as error:
        raise ApiError(400, f"{field}: {error}", param=field) from None
    return schema


def _schema(text_format: TextFormat, field: str) -> dict[str, Any]:
    extra = text_format.model_extra or {}
    holder = extra["json_schema"] if isinstance(extra.get("json_schema"), dict) else extra
    schema = holder.get("schema")
    if not isinstance(schema, dict):
        place = f"{field}.json_schema.schema" if field == "response_format" else f"{field}.schema"
        raise ApiError(400, f"{place} is missing; expected a JSON schema, an object.", param=field)
    return schema
