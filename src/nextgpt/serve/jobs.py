"""Films that are made while nobody waits on the line."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from nextgpt.message import Progress
from nextgpt.serve.engine.base import Answered, Ticket
from nextgpt.serve.errors import ApiError, as_api_error
from nextgpt.serve.files import StoredFile
from nextgpt.serve.making import first_medium
from nextgpt.serve.wire.answer import Publisher


@dataclass
class VideoJob:
    """One film, and how far it is."""

    owner: str
    prompt: str
    model: str
    expires_at: int
    id: str = field(default_factory=lambda: f"video_{secrets.token_hex(16)}")
    created_at: int = field(default_factory=lambda: int(time.time()))
    status: str = "queued"
    progress: int = 0
    """Per cent."""
    size: str = "auto"
    seconds: str = "0"
    completed_at: int | None = None
    file: StoredFile | None = None
    error: dict[str, str] | None = None
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    def as_openai(self) -> dict[str, Any]:
        """The video object of OpenAI's API."""
        return {
            "id": self.id,
            "object": "video",
            "model": self.model,
            "status": self.status,
            "progress": self.progress,
            "created_at": self.created_at,
            "completed_at": self.completed_at,
            "expires_at": self.expires_at,
            "prompt": self.prompt,
            "size": self.size,
            "seconds": self.seconds,
            "error": self.error,
            "remixed_from_video_id": None,
        }


class VideoJobs:
    """The jobs of one server.

    Args:
        keep_s: How long a job is remembered.
        most: Jobs that are remembered; the oldest that are done go first.
    """

    def __init__(self, *, keep_s: float, most: int = 1000) -> None:
        self._keep_s = keep_s
        self._most = most
        self._jobs: dict[str, VideoJob] = {}

    def begin(self, ticket: Ticket, publisher: Publisher, *, owner: str, prompt: str, model: str) -> VideoJob:
        """Watch over a ticket until its film is made."""
        self._forget_old()
        job = VideoJob(owner, prompt, model, expires_at=int(time.time() + self._keep_s))
        self._jobs[job.id] = job
        job.task = asyncio.create_task(_watch(job, ticket, publisher))
        return job

    def find(self, job_id: str, owner: str) -> VideoJob:
        """A job by its id. Raises :class:`ApiError` where this owner has none of that name."""
        self._forget_old()
        job = self._jobs.get(job_id)
        if job is None or job.owner != owner:
            raise ApiError(
                404, "No such video; expected the id of one that was begun lately.", code="video_not_found"
            )
        return job

    def of(self, owner: str) -> Sequence[VideoJob]:
        """An owner's jobs, the latest first."""
        self._forget_old()
        return [job for job in reversed(self._jobs.values()) if job.owner == owner]

    def end(self, job: VideoJob) -> None:
        """Call a job off where it is not done, and forget it."""
        if job.task is not None:
            job.task.cancel()
        self._jobs.pop(job.id, None)

    def _forget_old(self) -> None:
        now = time.time()
        for job in list(self._jobs.values()):
            is_done = job.status in ("completed", "failed")
            if is_done and (job.expires_at <= now or len(self._jobs) >= self._most):
                self.end(job)


async def _watch(job: VideoJob, ticket: Ticket, publisher: Publisher) -> None:
    try:
        async for event in ticket.events():
            if isinstance(event, Progress):
                job.status, job.progress = "in_progress", min(99, round(100 * event.step / event.total))
            elif isinstance(event, Answered):
                await _complete(job, event, publisher)
    except Exception as error:
        failed = as_api_error(error)
        job.status, job.error = "failed", {"code": failed.code or "failed", "message": str(failed.detail)}


async def _complete(job: VideoJob, answered: Answered, publisher: Publisher) -> None:
    from nextgpt.message import Video

    film = first_medium(answered, "video")
    assert isinstance(film, Video), "the medium is of the modality that was asked for"
    job.file = (await publisher.publish(film)).file
    job.size = f"{film.frames.shape[2]}x{film.frames.shape[1]}"
    job.seconds = f"{film.duration_s:g}"
    job.status, job.progress, job.completed_at = "completed", 100, int(time.time())
