"""State that all routes share: ``request.app.state.nextgpt``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import httpx
from fastapi import Request

from nextgpt.message import Conversation, Medium, Message, Sampling, Text
from nextgpt.serve.engine.base import Engine, EngineRequest, RequestHandle
from nextgpt.serve.errors import ApiError
from nextgpt.serve.file_store import FileStore
from nextgpt.serve.media_decoder import SandboxedDecoder
from nextgpt.serve.metrics import Metrics
from nextgpt.serve.middleware.auth import OWNER
from nextgpt.serve.protocol.media_store import MediaStore
from nextgpt.serve.protocol.request_parser import RequestParser
from nextgpt.serve.response_store import ResponseStore
from nextgpt.serve.settings import ServerSettings
from nextgpt.serve.url_fetch import Resolve, fetch
from nextgpt.serve.video_jobs import VideoJobs


@dataclass(frozen=True)
class AppState:
    """The engine and the server's own services."""

    engine: Engine
    settings: ServerSettings
    files: FileStore
    media_decoder: SandboxedDecoder
    metrics: Metrics
    jobs: VideoJobs
    responses: ResponseStore
    resolve: Resolve | None = None
    """Replaces the system's resolver in tests."""
    transport: httpx.AsyncBaseTransport | None = None
    """Replaces the network in tests."""

    def request_parser(self, request: Request) -> RequestParser:
        """Return the parser for the messages and media of one request."""
        fetch_url = partial(
            fetch,
            domains=self.settings.media_domains,
            max_bytes=self.settings.max_medium_bytes,
            resolve=self.resolve,
            transport=self.transport,
        )
        owner = request_owner(request)
        base_url = self.base_url(request)
        return RequestParser(self.media_decoder, self.files, fetch_url, self.settings, owner, base_url)

    def media_store(self, request: Request, *, audio_suffix: str = ".wav") -> MediaStore:
        """Return the store for the media of one answer."""
        return MediaStore(self.files, request_owner(request), audio_suffix, self.base_url(request))

    def base_url(self, request: Request) -> str:
        """Return the address of this server for the client of a request, without a slash at the end."""
        return self.settings.public_url or str(request.base_url).rstrip("/")

    def check_model(self, name: str | None) -> None:
        """Raise :class:`ApiError` for the name of another model."""
        if name is not None and name != self.engine.name:
            raise ApiError(
                404,
                f"model {name[:80]!r} is unknown; this server has {self.engine.name!r}. /v1/models lists it.",
                param="model",
                code="model_not_found",
            )

    def submit_media(
        self, prompt: str, inputs: Sequence[Medium], samplings: Sequence[Sampling], *, has_previews: bool = False
    ) -> list[RequestHandle]:
        """Request one medium per sampling, each as a conversation of one turn. Raises :class:`QueueFullError`."""
        parts = (*inputs, Text(prompt)) if prompt else tuple(inputs)
        conversation = Conversation((Message("user", parts),))
        return self.engine.submit([EngineRequest(conversation, item, has_previews) for item in samplings])

    def close(self) -> None:
        """Stop the decoder and remove all files."""
        self.media_decoder.close()
        self.files.close()


def request_owner(request: Request) -> str:
    """Return the owner of a request; files and jobs are visible to their owner alone."""
    return str(request.scope.get(OWNER, ""))


def get_state(request: Request) -> AppState:
    """Return the state of the app that handles a request."""
    state = request.app.state.nextgpt
    assert isinstance(state, AppState), "create_app sets the state"
    return state
