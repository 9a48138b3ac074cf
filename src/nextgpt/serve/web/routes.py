"""What the page asks for besides answers: files of a conversation, and conversations as files."""

from __future__ import annotations

import asyncio
import mimetypes
import secrets
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.background import BackgroundTask
from starlette.responses import FileResponse, Response

from nextgpt.errors import ConversationError
from nextgpt.message import Conversation
from nextgpt.serve.errors import ApiError
from nextgpt.serve.web import again, archive
from nextgpt.serve.web.rooms import Room, Rooms
from nextgpt.serve.web.talk import Talk
from nextgpt.serve.web.view import View, part_view

Base = Annotated[str, Query(max_length=300, pattern=r"^https?://[\w.:/\[\]~-]+$")]
"""Where the browser sees the API."""


@dataclass(frozen=True)
class Files:
    """The routes, around the rooms."""

    talk: Talk
    rooms: Rooms

    def router(self) -> APIRouter:
        """Everything under one prefix; none of it belongs to the API."""
        router = APIRouter(include_in_schema=False)
        router.add_api_route("/rooms/{room}/media", self.attach, methods=["POST"])
        router.add_api_route("/rooms/{room}/media/{name}", self.medium, response_model=None)
        router.add_api_route("/rooms/{room}/turns/{turn}/request", self.request_again)
        router.add_api_route("/rooms/{room}/export", self.export, response_model=None)
        router.add_api_route("/rooms/{room}", self.leave, methods=["DELETE"], response_model=None)
        router.add_api_route("/rooms", self.bring, methods=["POST"])
        return router

    async def attach(self, request: Request, room: str) -> View:
        """Read a file of any kind for the next message."""
        content = await _body(request, self.talk.service.settings.medium_bytes)
        return part_view(await self.talk.attach(self._room(room), content))

    async def medium(self, room: str, name: str) -> Response:
        """A medium as a file; parts of it where a player asks for them."""
        found = self._room(room)
        try:
            path = await asyncio.to_thread(found.file, name)
        except ConversationError as error:
            raise ApiError(404, str(error)) from None
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        return FileResponse(
            path, media_type=kind, headers={"Cache-Control": "private, max-age=86400, immutable"}
        )

    async def request_again(self, room: str, turn: int, base: Base) -> dict[str, Any]:
        """The request that asks for an answer again, for curl and in Python, and the files that it leaves out."""
        found, service = self._room(room), self.talk.service
        details = found.details.get(turn)
        if details is None:
            raise ApiError(
                404, "Nothing is known of how this answer was made; expected one of this server. Retry it."
            )
        before = Conversation(found.conversation.messages[:turn])
        api = again.Api(base, service.engine.name, service.engine.modalities, bool(service.settings.api_keys))
        file = found.file_of
        asked = await asyncio.to_thread(again.body, before, details.sampling, api, file)
        return {
            "curl": again.for_curl(asked, api),
            "python": again.in_python(asked, api),
            "left_out": again.left_out(before, file),
        }

    async def export(self, room: str) -> Response:
        """The conversation as a ZIP."""
        found = self._room(room)
        path = found.folder / f"{secrets.token_hex(8)}.zip"
        await asyncio.to_thread(archive.pack, found.conversation, path)
        return FileResponse(
            path, filename="nextgpt-conversation.zip", media_type="application/zip",
            headers={"Cache-Control": "no-store"}, background=BackgroundTask(path.unlink, missing_ok=True),
        )  # fmt: skip

    async def bring(self, request: Request) -> dict[str, Any]:
        """Read a ZIP that was exported, into a room of its own."""
        settings = self.talk.service.settings
        content = await _body(request, settings.body_bytes)
        allowed = archive.ArchiveLimits(messages=settings.messages, medium_bytes=settings.medium_bytes)
        found = await asyncio.to_thread(
            archive.unpack, content, self.talk.service.decoder.decode_now, allowed
        )
        room = self.rooms.enter(None)
        room.conversation = found
        return {"room": room.id}

    def leave(self, room: str) -> Response:
        """Forget a conversation."""
        self.rooms.leave(room)
        return Response(status_code=204)

    def _room(self, room_id: str) -> Room:
        found = self.rooms.find(room_id)
        if found is None:
            raise ApiError(
                404, "The conversation is not kept any more; expected one of this server. Begin a new one."
            )
        return found


async def _body(request: Request, most_bytes: int) -> bytes:
    """The body, counted while it comes. Raises :class:`ApiError`."""
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > most_bytes:
            raise ApiError(
                413, f"The file is larger than {most_bytes / 2**20:.0f} MiB; expected less. Shrink it."
            )
    return bytes(content)
