"""Requests that come as forms: files are read up to their limit, and no further."""

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
        raise ApiError(413, f"The file is larger than {most_bytes / 2**20:.0f} MiB; expected a smaller one. Shrink it.")
    return content


async def read_form(
    request: Request, kind: type[Model], files: tuple[str, ...], *, most_bytes: int
) -> tuple[Model, list[bytes]]:
    """A request that may come as JSON or as a form with files, and the bytes of its files, by the names ``files``."""
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        async with request.form(max_files=MAX_FIELDS, max_fields=MAX_FIELDS) as form:
            values = {name: value for name, value in form.multi_items() if isinstance(value, str)}
            found = [item for name in files for item in (*form.getlist(name), *form.getlist(f"{name}[]"))]
            contents = [await read_upload(item, most_bytes) for item in found if isinstance(item, Uploaded)]
            return _validated(kind, values), contents
    try:
        return _validated(kind, await request.json()), []
    except (ValueError, RecursionError):
        raise ApiError(400, "The request is no JSON; expected a JSON object or a form. Correct it.") from None


def _validated(kind: type[Model], values: Any) -> Model:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        message, param = describe(error.errors())
        raise ApiError(400, message, param=param) from None
