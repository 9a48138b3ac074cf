"""Requests that come as forms or as JSON: files are read up to their limit, and no further."""

from __future__ import annotations

from typing import Any, TypeVar

from fastapi import Request, UploadFile
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile as Uploaded

from nextgpt.serve.errors import ApiError, describe

MAX_FIELDS = 64
Model = TypeVar("Model", bound=BaseModel)


async def read_upload(file: UploadFile | Uploaded, most_bytes: int) -> bytes:
    """The bytes of an uploaded file. Raises :class:`ApiError` where there are too many."""
    content = await file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise ApiError(
            413, f"The file is larger than {most_bytes / 2**20:.0f} MiB; expected a smaller one. Shrink it."
        )
    return content


async def parse_json_or_form(
    request: Request, kind: type[Model], files: str, *, most_bytes: int
) -> tuple[Model, list[bytes | str]]:
    """A request that may come as JSON or as a form, and the files that the field ``files`` brings.

    A form brings their bytes; JSON names them: data URIs, ids or addresses, as strings or as OpenAI's objects.
    """
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        async with request.form(max_files=MAX_FIELDS, max_fields=MAX_FIELDS) as form:
            values = {name: value for name, value in form.multi_items() if isinstance(value, str)}
            found = [*form.getlist(files), *form.getlist(f"{files}[]")]
            contents = [await read_upload(item, most_bytes) for item in found if isinstance(item, Uploaded)]
            return _validated(kind, values), [*contents]
    try:
        values = await request.json()
    except (ValueError, RecursionError):
        raise ApiError(400, "The request is no JSON; expected a JSON object or a form. Correct it.") from None
    return _validated(kind, values), [*_references(values, files)]


def _references(values: dict[str, Any], field: str) -> list[str]:
    """Media that a JSON request names, under ``field`` or its plural. Raises :class:`ApiError`."""
    found = [item for name in (field, f"{field}s") for item in _as_list(values.get(name))]
    references = [_named(item) for item in found]
    if None in references:
        raise ApiError(
            400, f"{field} names no file; expected a data: URI, or the id of an uploaded file.", param=field
        )
    return [reference for reference in references if reference is not None]


def _as_list(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _named(item: Any) -> str | None:
    """What one item of a JSON request names: itself, or what OpenAI's object holds."""
    if isinstance(item, dict):
        item = next((item[key] for key in ("file_id", "image_url", "url") if item.get(key)), None)
    if isinstance(item, dict):
        item = item.get("url")
    return item if isinstance(item, str) and item else None


def _validated(kind: type[Model], values: Any) -> Model:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        message, param = describe(error.errors())
        raise ApiError(400, message, param=param) from None
