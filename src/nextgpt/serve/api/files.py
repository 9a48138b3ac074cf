"""``/v1/files``: upload once, name by id afterwards; what the model made is here too, for a while."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Request, UploadFile
from starlette.responses import Response

from nextgpt.media.file_types import sniff
from nextgpt.serve.api.forms import read_upload
from nextgpt.serve.errors import ApiError
from nextgpt.serve.file_store import StoredFile
from nextgpt.serve.state import get_state, request_owner

router = APIRouter(tags=["files"])


@router.post("/v1/files")
async def upload(
    request: Request, file: Annotated[UploadFile, File()], purpose: Annotated[str, Form()] = "user_data"
) -> dict[str, Any]:
    """Keep a picture, sound or film for later requests."""
    at = get_state(request)
    content = await read_upload(file, at.settings.max_medium_bytes)
    kind = sniff(content)
    if kind is None or not kind.modalities:
        label = "of no known type" if kind is None else kind.label
        raise ApiError(
            400, f"The file is {label}; expected a picture, sound or film. Convert it.", param="file"
        )
    stored = at.files.put(
        content,
        owner=request_owner(request),
        name=_plain(file.filename or "file"),
        media_type=kind.mime,
        purpose=_plain(purpose),
    )
    return stored.as_openai()


@router.get("/v1/files")
async def files(request: Request) -> dict[str, Any]:
    """List one's own files, the latest first."""
    found = get_state(request).files.list(request_owner(request))
    return {
        "object": "list",
        "data": [file.as_openai() for file in found],
        "has_more": False,
        "first_id": found[0].id if found else None,
        "last_id": found[-1].id if found else None,
    }


@router.get("/v1/files/{file_id}")
async def about(request: Request, file_id: str) -> dict[str, Any]:
    """Describe a file."""
    return get_state(request).files.get(file_id, request_owner(request)).as_openai()


@router.get("/v1/files/{file_id}/content", response_model=None)
async def content(request: Request, file_id: str) -> Response:
    """Give the bytes of a file."""
    store = get_state(request).files
    return as_download(
        store.get(file_id, request_owner(request)), store.read(file_id, request_owner(request))
    )


@router.delete("/v1/files/{file_id}")
async def delete(request: Request, file_id: str) -> dict[str, Any]:
    """Forget a file."""
    get_state(request).files.delete(file_id, request_owner(request))
    return {"id": file_id, "object": "file", "deleted": True}


def as_download(file: StoredFile, content: bytes) -> Response:
    """A file as an answer that a browser saves and never runs."""
    headers = {
        "Content-Disposition": f'attachment; filename="{file.name}"',
        "Cache-Control": "private, no-store",
    }
    return Response(content, media_type=file.media_type, headers=headers)


def _plain(name: str) -> str:
    """A name that can stand in a header: letters, digits, dots and dashes."""
    kept = "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in ".-_") else "_" for letter in name
    )
    return kept[-100:] or "file"
