"""Decoding of media in a sandboxed process with limited memory and time, so that no file can harm the server."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from dataclasses import asdict
from typing import Any

from nextgpt.errors import MediaError
from nextgpt.media.limits import MediaLimits, media_error
from nextgpt.message import Medium
from nextgpt.serve.media_decoder_worker import deserialize, read_frame, write_frame

START_TIMEOUT_S = 60.0
"""Time for starting the worker process."""
TIMEOUT_MARGIN_S = 2.0
"""Time beyond the decoder's own timeout after which the worker is killed."""


class SandboxedDecoder:
    """Decodes files in a worker process that is started on first use, and again after it died."""

    def __init__(self, limits: MediaLimits, *, memory_bytes: int) -> None:
        self.limits = limits
        self._memory_bytes = memory_bytes
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    async def decode(self, modality: str | None, content: bytes) -> Medium:
        """Decode a file's content as ``modality``, or as the first modality it holds. Raises :class:`MediaError`."""
        return await asyncio.to_thread(self.decode_sync, modality, content)

    def decode_sync(self, modality: str | None, content: bytes) -> Medium:
        """Decode in the calling thread, one file at a time. Raises :class:`MediaError`."""
        with self._lock:
            try:
                worker = self._worker()
                return self._request(worker, modality, content)
            except (OSError, ValueError, KeyError, EOFError) as error:
                if isinstance(error, MediaError):
                    raise
                self._stop_worker()
                raise media_error(
                    "The file", "took too much time or memory to decode", "an ordinary one", "Shorten or convert it."
                ) from error

    def close(self) -> None:
        """Stop the worker."""
        with self._lock:
            self._stop_worker()

    def _request(self, worker: subprocess.Popen[bytes], modality: str | None, content: bytes) -> Medium:
        header = {"modality": modality, "limits": asdict(self.limits), "size": len(content)}
        with _Deadline(worker, self.limits.time_s + TIMEOUT_MARGIN_S):
            write_frame(_pipe(worker.stdin), header, content)
            answer = _require(read_frame(_pipe(worker.stdout)))
            if "refused" in answer:
                raise MediaError(str(answer["refused"]))
            medium = deserialize(modality or str(answer["modality"]), answer, _pipe(worker.stdout))
            return medium.note_damage(str(answer["damage"]))

    def _worker(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "nextgpt.serve.media_decoder_worker", str(self._memory_bytes)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environment(),
                start_new_session=True,  # Ctrl-C is for the server alone
            )
            with _Deadline(self._process, START_TIMEOUT_S):
                _require(read_frame(_pipe(self._process.stdout)))
        return self._process

    def _stop_worker(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                try:
                    _pipe(pipe).close()
                except OSError:  # unwritten data of a dead worker
                    continue
            self._process = None


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
