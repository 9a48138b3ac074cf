"""Responses of ``/v1/responses`` with their conversations, in memory: for a limited time, within a quota per owner."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from nextgpt.message import Audio, Conversation, Image, Message, Video
from nextgpt.serve.engine.base import RequestHandle
from nextgpt.serve.errors import ApiError
from nextgpt.serve.protocol.responses import OutputItem, ResponseResource


class ResponseCancelledError(Exception):
    """The client cancelled its response."""


@dataclass
class StoredResponse:
    """A response, running or complete."""

    owner: str
    resource: ResponseResource
    conversation: Conversation
    """Messages without the instructions; with the answer once it is complete."""
    expires_at: float
    handle: RequestHandle
    size_bytes: int
    """Memory of the media that this response added."""
    task: asyncio.Task[ResponseResource] | None = field(default=None, repr=False)
    """Follows a response in the background."""

    @property
    def is_running(self) -> bool:
        """True if the response is incomplete and still being generated."""
        return self.resource.status in ("queued", "in_progress")

    def complete(self, answer: Message) -> None:
        """Append the answer to the conversation."""
        self.conversation = Conversation((*self.conversation, answer))
        self.size_bytes += media_bytes(answer)

    def cancel(self) -> None:
        """Stop generating; the reader of the events ends the response."""
        self.handle.push(ResponseCancelledError())
        self.handle.cancel()


class ResponseStore:
    """Responses of one server.

    Args:
        ttl_s: Time for which a response is kept.
        max_responses: Number of responses per owner; the oldest are removed first.
        max_bytes: Memory for the media of an owner's responses, likewise.
        max_total_bytes: Memory for the media of all responses, likewise.
    """

    def __init__(self, *, ttl_s: float, max_responses: int, max_bytes: int, max_total_bytes: int) -> None:
        self._ttl_s = ttl_s
        self._max_responses = max_responses
        self._max_bytes = max_bytes
        self._max_total_bytes = max_total_bytes
        self._responses: dict[str, StoredResponse] = {}
        """The oldest first."""

    def put(
        self,
        owner: str,
        resource: ResponseResource,
        conversation: Conversation,
        handle: RequestHandle,
        new_messages: int,
    ) -> StoredResponse:
        """Keep a response that has begun.

        Args:
            new_messages: Number of messages that no earlier response holds.
        """
        size = sum(media_bytes(message) for message in conversation.messages[-new_messages:])
        expires_at = time.time() + self._ttl_s
        stored = StoredResponse(owner, resource, conversation, expires_at, handle, size)
        self._responses[resource.id] = stored
        self._evict(owner)
        return stored

    def get(self, response_id: str, owner: str) -> StoredResponse:
        """Return a response. Raises :class:`ApiError` if the owner has no such response."""
        self._expire()
        stored = self._responses.get(response_id)
        if stored is None or stored.owner != owner:
            raise ApiError(404, f"No such response. {self._retention}", code="response_not_found")
        return stored

    def conversation(self, response_id: str, owner: str) -> Conversation:
        """Return the conversation up to a response and including it. Raises :class:`ApiError`."""
        self._expire()
        stored = self._responses.get(response_id)
        own = stored if stored is not None and stored.owner == owner else None
        if own is None or own.resource.status not in ("completed", "incomplete"):
            status = "unknown" if own is None else own.resource.status
            raise ApiError(
                400,
                f"previous_response_id: the response is {status}; expected a completed one. {self._retention}",
                param="previous_response_id",
                code="previous_response_not_found",
            )
        return own.conversation

    def output_item(self, item_id: str, owner: str) -> OutputItem:
        """Return an output item of a response. Raises :class:`ApiError` if the owner has no such item."""
        self._expire()
        for stored in reversed(self._responses.values()):
            for item in stored.resource.output if stored.owner == owner else ():
                if item.id == item_id:
                    return item
        raise ApiError(404, f"input: no such item. {self._retention}", param="input", code="item_not_found")

    def delete(self, response_id: str, owner: str) -> None:
        """Remove a response; stop it if it is running. Raises :class:`ApiError`."""
        self.get(response_id, owner).cancel()
        self._responses.pop(response_id, None)

    @property
    def _retention(self) -> str:
        return f"Responses are kept for {self._ttl_s / 60:.0f} minutes unless store is false; send the whole input."

    def _expire(self) -> None:
        now = time.time()
        for response_id, stored in tuple(self._responses.items()):
            if stored.expires_at > now:
                break
            del self._responses[response_id]

    def _evict(self, owner: str) -> None:
        """Remove the oldest responses of the owner, then of all, except the latest, until they fit the quotas."""
        self._expire()
        own = [stored for stored in self._responses.values() if stored.owner == owner]
        while len(own) > 1 and (len(own) > self._max_responses or _total_bytes(own) > self._max_bytes):
            del self._responses[own.pop(0).resource.id]
        while len(self._responses) > 1 and _total_bytes(self._responses.values()) > self._max_total_bytes:
            del self._responses[next(iter(self._responses))]


def _total_bytes(responses: Iterable[StoredResponse]) -> int:
    return sum(stored.size_bytes for stored in responses)


def media_bytes(message: Message) -> int:
    """Return the memory of a message's decoded media."""
    size = 0
    for medium in message.media:
        if isinstance(medium, Image):
            size += 3 * medium.image.width * medium.image.height
        elif isinstance(medium, Audio):
            size += medium.samples.nbytes
        elif isinstance(medium, Video):
            size += medium.frames.nbytes
    return size
