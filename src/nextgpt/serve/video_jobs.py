"""Films that are made while nobody waits on the line."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from nextgpt.message import DenoisingProgress
from nextgpt.serve.api.common import require_medium
from nextgpt.serve.engine.base import RequestHandle, RequestOutput
from nextgpt.serve.errors import ApiError, to_api_error
from nextgpt.serve.file_store import StoredFile
from nextgpt.serve.protocol.responses import MediaStore


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

    def __init__(self, *, ttl_s: float, max_jobs: int = 1000) -> None:
        self._ttl_s = ttl_s
        self._max_jobs = max_jobs
        self._jobs: dict[str, VideoJob] = {}

    def start(
        self, ticket: RequestHandle, publisher: MediaStore, *, owner: str, prompt: str, model: str
    ) -> VideoJob:
        """Watch over a ticket until its film is made."""
        self._expire()
        job = VideoJob(owner, prompt, model, expires_at=int(time.time() + self._ttl_s))
        self._jobs[job.id] = job
        job.task = asyncio.create_task(_run_job(job, ticket, publisher))
        return job

    def get(self, job_id: str, owner: str) -> VideoJob:
        """A job by its id. Raises :class:`ApiError` where this owner has none of that name."""
        self._expire()
        job = self._jobs.get(job_id)
        if job is None or job.owner != owner:
            raise ApiError(
                404, "No such video; expected the id of one that was begun lately.", code="video_not_found"
            )
        return job

    def list(self, owner: str) -> Sequence[VideoJob]:
        """An owner's jobs, the latest first."""
        self._expire()
        return [job for job in reversed(self._jobs.values()) if job.owner == owner]

    def cancel(self, job: VideoJob) -> None:
        """Call a job off where it is not done, and forget it."""
        if job.task is not None:
            job.task.cancel()
        self._jobs.pop(job.id, None)

    def _expire(self) -> None:
        now = time.time()
        for job in list(self._jobs.values()):
            is_done = job.status in ("completed", "failed")
            if is_done and (job.expires_at <= now or len(self._jobs) >= self._max_jobs):
                self.cancel(job)


async def _run_job(job: VideoJob, ticket: RequestHandle, publisher: MediaStore) -> None:
    try:
        async for event in ticket.events():
            if isinstance(event, DenoisingProgress):
                job.status, job.progress = "in_progress", min(99, round(100 * event.step / event.total))
            elif isinstance(event, RequestOutput):
                await _complete(job, event, publisher)
    except Exception as error:
        failed = to_api_error(error)
        job.status, job.error = "failed", {"code": failed.code or "failed", "message": str(failed.detail)}


async def _complete(job: VideoJob, answered: RequestOutput, publisher: MediaStore) -> None:
    from nextgpt.message import Video

    film = require_medium(answered, "video")
    assert isinstance(film, Video), "the medium is of the modality that was asked for"
    job.file = (await publisher.publish(film)).file
    job.size = f"{film.frames.shape[2]}x{film.frames.shape[1]}"
    job.seconds = f"{film.duration_s:g}"
    job.status, job.progress, job.completed_at = "completed", 100, int(time.time())
