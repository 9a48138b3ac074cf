"""``/v1/files``: upload media once and refer to them by id; generated media are kept here too."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, File, Form, Request, UploadFile
from starlette.responses import Response

from nextgpt.serve.api.forms import read_upload
from nextgpt.serve.api.http_responses import binary_response, file_response
from nextgpt.serve.file_store import StoredFile
from nextgpt.serve.protocol.media import DeletedFile, FileList, FileResource
from nextgpt.serve.protocol.request_parser import require_media_type
from nextgpt.serve.state import get_state, request_owner

router = APIRouter(tags=["files"])


@router.post("/v1/files")
async def upload_file(
    request: Request, file: Annotated[UploadFile, File()], purpose: Annotated[str, Form()] = "user_data"
) -> FileResource:
    """Store an image, audio or video file for later requests."""
    state = get_state(request)
    content = await read_upload(file, state.settings.max_medium_bytes)
    stored = state.files.put(
        content,
        owner=request_owner(request),
        name=_safe_name(file.filename or "file"),
        media_type=require_media_type(content, "file").mime,
        purpose=_safe_name(purpose),
    )
    return _resource(stored)


@router.get("/v1/files")
async def list_files(request: Request) -> FileList:
    """List your files, the latest first."""
    files = [_resource(file) for file in get_state(request).files.list(request_owner(request))]
    first_id, last_id = (files[0].id, files[-1].id) if files else (None, None)
    return FileList(data=files, first_id=first_id, last_id=last_id)


@router.get("/v1/files/{file_id}")
async def get_file(request: Request, file_id: str) -> FileResource:
    """Describe a file."""
    return _resource(get_state(request).files.get(file_id, request_owner(request)))


@router.get(
    "/v1/files/{file_id}/content",
    response_class=Response,
    responses={200: binary_response("image/*", "audio/*", "video/*")},
)
async def get_file_content(request: Request, file_id: str) -> Response:
    """Return the content of a file."""
    files, owner = get_state(request).files, request_owner(request)
    return file_response(files.get(file_id, owner), files.read(file_id, owner))


@router.delete("/v1/files/{file_id}")
async def delete_file(request: Request, file_id: str) -> DeletedFile:
    """Remove a file."""
    get_state(request).files.delete(file_id, request_owner(request))
    return DeletedFile(id=file_id)


def _resource(file: StoredFile) -> FileResource:
    return FileResource(
        id=file.id,
        bytes=file.size_bytes,
        created_at=file.created_at,
        expires_at=file.expires_at,
        filename=file.name,
        purpose=file.purpose,
    )


def _safe_name(name: str) -> str:
    """Replace everything that cannot stand in a header; only letters, digits, dots and dashes remain."""
    safe = "".join(letter if letter.isascii() and (letter.isalnum() or letter in ".-_") else "_" for letter in name)
    return safe[-100:] or "file"
