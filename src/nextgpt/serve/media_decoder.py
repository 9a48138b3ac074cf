"""Decoding of media in sandboxed processes with limited memory and time, so that no file can harm the server."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace
from queue import LifoQueue
from typing import Any

from nextgpt.errors import MediaError
from nextgpt.media.limits import MediaLimits, media_error
from nextgpt.message import Medium
from nextgpt.serve.errors import ApiError
from nextgpt.serve.media_decoder_worker import decoded_bytes, deserialize, discard, read_frame, write_frame
from nextgpt.serve.media_memory import DecodingBudget, MediaMemory

NUM_WORKERS = 2
"""Processes that decode, so that one client's large files do not hold up another's small ones."""
START_TIMEOUT_S = 60.0
"""Time for starting a worker process."""
TIMEOUT_MARGIN_S = 2.0
"""Time beyond the decoder's own timeout after which a worker is killed."""
RETRY_AFTER_S = 5


class SandboxedDecoder:
    """Decodes files in worker processes that are started on first use and restarted after a crash.

    Args:
        limits: Limits for one file.
        memory_bytes: Address space of a worker.
        max_media_bytes: Memory of all decoded media that are in use.
    """

    def __init__(self, limits: MediaLimits, *, memory_bytes: int, max_media_bytes: int = sys.maxsize) -> None:
        self.limits = limits
        self.workers = tuple(DecodingWorker(memory_bytes) for _ in range(NUM_WORKERS))
        self._memory = MediaMemory(max_media_bytes)
        # The worker that was used last comes first: the second one is started only if both are needed.
        self._idle: LifoQueue[DecodingWorker] = LifoQueue()
        for worker in reversed(self.workers):
            self._idle.put(worker)
        # Requests wait here rather than in threads, of which other work needs some.
        self._turns = asyncio.Semaphore(NUM_WORKERS)

    async def decode(self, modality: str | None, content: bytes, budget: DecodingBudget) -> Medium:
        """Decode a file's content as ``modality``, or as the first modality it holds.

        Args:
            budget: What the request may still use; the cost is subtracted.

        Raises:
            MediaError: The file cannot be decoded within its limits and the budget.
            ApiError: Other requests use the memory.
        """
        async with self._turns:
            return await asyncio.to_thread(self.decode_sync, modality, content, budget)

    def decode_sync(self, modality: str | None, content: bytes, budget: DecodingBudget) -> Medium:
        """Decode in the calling thread. Raises as :meth:`decode`."""
        if budget.seconds <= 0:
            raise _too_slow()
        worker = self._idle.get()
        start = time.monotonic()
        limits = replace(self.limits, time_s=min(self.limits.time_s, budget.seconds))
        try:
            return worker.decode(modality, content, limits, budget, self._memory)
        except MediaError as error:
            if time.monotonic() - start >= budget.seconds:
                raise _too_slow() from error
            raise
        finally:
            budget.seconds -= time.monotonic() - start
            self._idle.put(worker)

    def close(self) -> None:
        """Stop the workers."""
        for worker in self.workers:
            worker.close()


class DecodingWorker:
    """A process that decodes one file after another."""

    def __init__(self, memory_bytes: int) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self._memory_bytes = memory_bytes
        self._lock = threading.Lock()

    def decode(
        self, modality: str | None, content: bytes, limits: MediaLimits, budget: DecodingBudget, memory: MediaMemory
    ) -> Medium:
        """Decode a file; see :meth:`SandboxedDecoder.decode`."""
        with self._lock:
            try:
                process = self._start()
                header = {"modality": modality, "limits": asdict(limits), "size": len(content)}
                with _Deadline(process, limits.time_s + TIMEOUT_MARGIN_S):
                    write_frame(_pipe(process.stdin), header, content)
                    return _receive(_pipe(process.stdout), budget, memory)
            except (OSError, ValueError, KeyError, EOFError) as error:
                if isinstance(error, MediaError):
                    raise
                self._stop()
                raise media_error(
                    "The file", "took too much time or memory to decode", "an ordinary one", "Shorten or convert it."
                ) from error

    def close(self) -> None:
        """Stop the process."""
        with self._lock:
            self._stop()

    def _start(self) -> subprocess.Popen[bytes]:
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "nextgpt.serve.media_decoder_worker", str(self._memory_bytes)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environment(),
                start_new_session=True,  # Ctrl-C is for the server alone
            )
            with _Deadline(self.process, START_TIMEOUT_S):
                _require(read_frame(_pipe(self.process.stdout)))
        return self.process

    def _stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout):
                try:
                    _pipe(pipe).close()
                except OSError:  # unwritten data of a dead worker
                    continue
            self.process = None


def _too_slow() -> MediaError:
    return media_error(
        "The media of this request", "take too long to decode", "less in one request", "Send fewer or smaller ones."
    )


def _receive(stream: Any, budget: DecodingBudget, memory: MediaMemory) -> Medium:
    """Read a worker's answer. Raises :class:`MediaError` or, if other requests use the memory, :class:`ApiError`."""
    header = _require(read_frame(stream))
    if "refused" in header:
        raise MediaError(str(header["refused"]))
    num_bytes = decoded_bytes(header)
    if num_bytes > budget.size_bytes:
        discard(stream, header)
        raise media_error(
            "The media of this request",
            f"are too large: this one needs {num_bytes / 2**20:.0f} MiB of memory when decoded",
            f"at most {max(budget.size_bytes, 0) / 2**20:.0f} MiB beside the others",
            "Leave some out, or shorten videos.",
        )
    if not memory.reserve(num_bytes):
        discard(stream, header)
        raise ApiError(
            429,
            f"The media of other requests need the memory for media. Try again in {RETRY_AFTER_S} s.",
            code="media_memory_full",
            retry_after_s=RETRY_AFTER_S,
        )
    try:
        medium = deserialize(header, stream)
    except BaseException:
        memory.release(num_bytes)
        raise
    memory.release_with(medium, num_bytes)
    budget.size_bytes -= num_bytes
    return medium.note_damage(str(header["damage"]))


class _Deadline:
    """Kills a process after a timeout; reading from it then reaches the end of the stream."""

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        self._timer = threading.Timer(seconds, lambda: os.kill(process.pid, signal.SIGKILL))
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()


def _environment() -> dict[str, str]:
    """Return the worker's environment: paths of its libraries, and no API key."""
    variables = {name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH") if name in os.environ}
    return variables | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "OMP_NUM_THREADS": "1"}


def _pipe(pipe: Any) -> Any:
    assert pipe is not None, "the worker has pipes"
    return pipe


def _require(frame: dict[str, Any] | None) -> dict[str, Any]:
    if frame is None:
        raise EOFError("the worker ended")
    return frame
