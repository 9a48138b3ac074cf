"""Requests that may be JSON or a form with files; files are read up to their limit."""

from __future__ import annotations

from typing import Any, TypeVar

from fastapi import Request, UploadFile
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile as FormFile

from nextgpt.serve.errors import ApiError, summarize_validation_errors

MAX_FIELDS = 64
Model = TypeVar("Model", bound=BaseModel)


async def read_upload(file: UploadFile | FormFile, max_bytes: int) -> bytes:
    """Read an uploaded file. Raises :class:`ApiError` if it is too large."""
    content = await file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise ApiError(413, f"The file is larger than {max_bytes / 2**20:.0f} MiB. Shrink it.")
    return content


async def parse_json_or_form(
    request: Request, model: type[Model], files: str, *, max_bytes: int
) -> tuple[Model, list[bytes | str]]:
    """Parse a request, and its files under the field ``files``.

    A form has the files' content, or a string as JSON has it: a data URI, id or URL. JSON takes OpenAI's objects, too.
    """
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        async with request.form(max_files=MAX_FIELDS, max_fields=MAX_FIELDS) as form:
            values = {name: value for name, value in form.multi_items() if isinstance(value, str)}
            uploads = [*form.getlist(files), *form.getlist(f"{files}[]")]
            contents = [
                item if isinstance(item, str) else await read_upload(item, max_bytes) for item in uploads if item
            ]
            return _validate(model, _without_empty_fields(values)), contents
    try:
        values = await request.json()
    except (ValueError, RecursionError):
        raise ApiError(400, "The request is not valid JSON; expected a JSON object or a form.") from None
    return _validate(model, values), [*_media_references(values, files)]


def _without_empty_fields(values: dict[str, str]) -> dict[str, str]:
    """Leave out fields that were not filled in, except for the prompt, which may be empty."""
    return {name: value for name, value in values.items() if value or name == "prompt"}


def _media_references(values: dict[str, Any], field: str) -> list[str]:
    """Return the media under ``field`` or its plural in a JSON request. Raises :class:`ApiError`."""
    items = [item for name in (field, f"{field}s") for item in _as_list(values.get(name))]
    references = [_reference(item) for item in items]
    if None in references:
        raise ApiError(400, f"{field}: expected a data: URI, or the id of an uploaded file.", param=field)
    return [reference for reference in references if reference is not None]


def _as_list(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _reference(item: Any) -> str | None:
    """Return a string, or the reference inside one of OpenAI's objects."""
    if isinstance(item, dict):
        item = next((item[key] for key in ("file_id", "image_url", "url") if item.get(key)), None)
    if isinstance(item, dict):
        item = item.get("url")
    return item if isinstance(item, str) and item else None


def _validate(model: type[Model], values: Any) -> Model:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        message, param = summarize_validation_errors(error.errors())
        raise ApiError(400, message, param=param) from None
