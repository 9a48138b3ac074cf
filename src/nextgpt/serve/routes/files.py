"""``/v1/files``: upload once, name by id afterwards; what the model made is here too, for a while."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Request, UploadFile
from starlette.responses import Response

from nextgpt.media.sniff import sniff
from nextgpt.media.source import SNIFFED_BYTES
from nextgpt.serve.context import owner, service
from nextgpt.serve.errors import ApiError
from nextgpt.serve.files import StoredFile
from nextgpt.serve.uploads import read_upload

router = APIRouter(tags=["files"])

TYPES = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "wav": "audio/wav",
    "flac": "audio/flac",
    "mp3": "audio/mpeg",
    "ogg": "audio/ogg",
    "m4a": "audio/mp4",
    "mp4": "video/mp4",
    "webm": "video/webm",
}
"""Types under which content is given back, by what it really is; everything else is plain bytes."""


@router.post("/v1/files")
async def upload(
    request: Request, file: Annotated[UploadFile, File()], purpose: Annotated[str, Form()] = "user_data"
) -> dict[str, Any]:
    """Keep a picture, sound or film for later requests."""
    at = service(request)
    content = await read_upload(file, at.settings.medium_bytes)
    kind = sniff(content[:SNIFFED_BYTES])
    if kind is None or not kind.holds:
        label = "of no known type" if kind is None else kind.label
        raise ApiError(
            400, f"The file is {label}; expected a picture, sound or film. Convert it.", param="file"
        )
    stored = at.files.add(
        content,
        owner=owner(request),
        name=_plain(file.filename or "file"),
        media_type=TYPES.get(kind.name, "application/octet-stream"),
        purpose=_plain(purpose),
    )
    return stored.as_openai()


@router.get("/v1/files")
async def files(request: Request) -> dict[str, Any]:
    """List one's own files, the latest first."""
    found = service(request).files.of(owner(request))
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
    return service(request).files.find(file_id, owner(request)).as_openai()


@router.get("/v1/files/{file_id}/content", response_model=None)
async def content(request: Request, file_id: str) -> Response:
    """Give the bytes of a file."""
    store = service(request).files
    return as_download(store.find(file_id, owner(request)), store.read(file_id, owner(request)))


@router.delete("/v1/files/{file_id}")
async def delete(request: Request, file_id: str) -> dict[str, Any]:
    """Forget a file."""
    service(request).files.delete(file_id, owner(request))
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
