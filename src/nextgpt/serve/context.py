"""What every route works with, in one place: ``request.app.state.service``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from fastapi import Request

from nextgpt.message import Conversation, Medium, Message, Sampling, Text
from nextgpt.serve.decoding import Decoder
from nextgpt.serve.engine.base import Engine, Job, Ticket
from nextgpt.serve.errors import ApiError
from nextgpt.serve.fetch import Resolve, Transport, fetch
from nextgpt.serve.files import FileStore
from nextgpt.serve.guard import OWNER
from nextgpt.serve.jobs import VideoJobs
from nextgpt.serve.metrics import Metrics
from nextgpt.serve.settings import ServerSettings
from nextgpt.serve.wire.answer import Publisher
from nextgpt.serve.wire.reading import Reader


@dataclass(frozen=True)
class Service:
    """An engine, and what stands around it."""

    engine: Engine
    settings: ServerSettings
    files: FileStore
    decoder: Decoder
    metrics: Metrics
    jobs: VideoJobs
    resolve: Resolve | None = None
    """Replaces the system's resolver in tests."""
    transport: Transport | None = None
    """Replaces the network in tests."""

    def reader(self, request: Request) -> Reader:
        """What reads the media of one request."""
        return Reader(self.decoder, self.files, self._fetch(), self.settings, owner(request))

    def publisher(self, request: Request, *, audio_suffix: str = ".wav") -> Publisher:
        """What writes the media of one answer."""
        return Publisher(self.files, owner(request), audio_suffix)

    def check_model(self, name: str | None) -> None:
        """Raise :class:`ApiError` where another model is meant."""
        if name is not None and name != self.engine.name:
            raise ApiError(
                404,
                f"model {name[:80]!r} is unknown; expected {self.engine.name!r}. /v1/models lists what is served.",
                param="model",
                code="model_not_found",
            )

    def submit(self, *jobs: Job) -> list[Ticket]:
        """Take all jobs or none. Raises :class:`Busy`."""
        return self.engine.submit(jobs)

    def order(
        self,
        prompt: str,
        given: Sequence[Medium],
        samplings: Sequence[Sampling],
        *,
        has_previews: bool = False,
    ) -> list[Ticket]:
        """Ask for media in one turn each. Raises :class:`Busy`."""
        parts = (*given, Text(prompt)) if prompt else tuple(given)
        conversation = Conversation((Message("user", parts),))
        return self.submit(*(Job(conversation, sampling, has_previews) for sampling in samplings))

    def _fetch(self) -> Callable[[str], Awaitable[bytes]]:
        return partial(
            fetch,
            domains=self.settings.media_domains,
            max_bytes=self.settings.medium_bytes,
            resolve=self.resolve,
            transport=self.transport,
        )

    def close(self) -> None:
        """End what the service started beside the engine."""
        self.decoder.close()
        self.files.close()


def owner(request: Request) -> str:
    """Whose request it is: files are seen by their owner alone."""
    return str(request.scope.get(OWNER, ""))


def service(request: Request) -> Service:
    """The service of the app that answers."""
    found = request.app.state.service
    assert isinstance(found, Service), "create_app sets the service"
    return found
