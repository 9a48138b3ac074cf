"""Videos that are generated in the background while the client polls."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from nextgpt.message import DenoisingProgress, Video
from nextgpt.serve.engine.base import RequestHandle, RequestOutput
from nextgpt.serve.errors import ApiError, to_api_error
from nextgpt.serve.file_store import StoredFile
from nextgpt.serve.protocol.media import VideoJobError, VideoResource
from nextgpt.serve.protocol.media_store import MediaStore, require_medium


@dataclass
class VideoJob:
    """A video and its progress."""

    owner: str
    prompt: str
    model: str
    expires_at: int
    id: str = field(default_factory=lambda: f"video_{secrets.token_hex(16)}")
    created_at: int = field(default_factory=lambda: int(time.time()))
    status: Literal["queued", "in_progress", "completed", "failed"] = "queued"
    progress: int = 0
    """Percent."""
    size: str = "auto"
    seconds: str = "0"
    completed_at: int | None = None
    file: StoredFile | None = None
    error: VideoJobError | None = None
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    def resource(self) -> VideoResource:
        """Return OpenAI's video object."""
        fields = {name: getattr(self, name) for name in VideoResource.model_fields if hasattr(self, name)}
        return VideoResource(**fields)


class VideoJobs:
    """Jobs of one server.

    Args:
        ttl_s: Time for which a finished job is kept.
        max_jobs: Number of jobs that are kept; the oldest finished ones are removed first.
    """

    def __init__(self, *, ttl_s: float, max_jobs: int = 1000) -> None:
        self._ttl_s = ttl_s
        self._max_jobs = max_jobs
        self._jobs: dict[str, VideoJob] = {}

    def start(self, handle: RequestHandle, store: MediaStore, *, prompt: str, model: str) -> VideoJob:
        """Follow a request in the background until its video is stored."""
        self._expire()
        job = VideoJob(store.owner, prompt, model, expires_at=int(time.time() + self._ttl_s))
        self._jobs[job.id] = job
        job.task = asyncio.create_task(_run_job(job, handle, store))
        return job

    def get(self, job_id: str, owner: str) -> VideoJob:
        """Return a job. Raises :class:`ApiError` if the owner has no such job."""
        self._expire()
        job = self._jobs.get(job_id)
        if job is None or job.owner != owner:
            raise ApiError(404, "No such video job; it may have expired.", code="video_not_found")
        return job

    def list(self, owner: str) -> Sequence[VideoJob]:
        """Return an owner's jobs, the latest first."""
        self._expire()
        return [job for job in reversed(self._jobs.values()) if job.owner == owner]

    def cancel(self, job: VideoJob) -> None:
        """Remove a job; stop it if it is unfinished."""
        if job.task is not None:
            job.task.cancel()
        self._jobs.pop(job.id, None)

    def _expire(self) -> None:
        now = time.time()
        for job in tuple(self._jobs.values()):
            is_finished = job.status in ("completed", "failed")
            if is_finished and (job.expires_at <= now or len(self._jobs) >= self._max_jobs):
                self.cancel(job)


async def _run_job(job: VideoJob, handle: RequestHandle, store: MediaStore) -> None:
    try:
        async for event in handle.events():
            if isinstance(event, DenoisingProgress):
                job.status, job.progress = "in_progress", min(99, round(100 * event.step / event.total))
            elif isinstance(event, RequestOutput):
                await _complete(job, event, store)
    except Exception as error:
        failure = to_api_error(error)
        job.status = "failed"
        job.error = VideoJobError(code=failure.code or "failed", message=str(failure.detail))


async def _complete(job: VideoJob, output: RequestOutput, store: MediaStore) -> None:
    video = require_medium(output, "video")
    assert isinstance(video, Video), "the medium has the requested modality"
    job.file = (await store.store(video)).file
    job.size = f"{video.frames.shape[2]}x{video.frames.shape[1]}"
    job.seconds = f"{video.duration_s:g}"
    job.status, job.progress, job.completed_at = "completed", 100, int(time.time())
