"""Calls of replicas that may die: retried on another replica, and failed with a message after several attempts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import Any, Protocol, runtime_checkable

from ray.exceptions import RayError, RayTaskError
from ray.serve.exceptions import RayServeException

from nextgpt.serve.engine.base import EngineError

logger = logging.getLogger("nextgpt.serve")


@runtime_checkable
class RemoteMethod(Protocol):
    """Method of a deployment handle."""

    def remote(self, *arguments: Any) -> Any:
        """Call the method on one of the replicas; the result is awaitable, or an asynchronous iterator."""
        ...


class ReplicaDied(Exception):
    """A replica died during a call, or none could be reached."""


class RetryingStage:
    """Calls the replicas of one stage.

    Args:
        stage: Name for messages.
        max_attempts: Number of attempts before the request fails.
        timeout_s: Time without a result or event after which the request fails.
    """

    def __init__(self, stage: str, *, max_attempts: int, timeout_s: float) -> None:
        self._stage = stage
        self._max_attempts = max_attempts
        self._timeout_s = timeout_s

    async def call(self, method: RemoteMethod, *arguments: Any) -> Any:
        """Return the result of a call. Raises the replica's own error, or :class:`EngineError`."""
        for attempt in range(self._max_attempts):
            try:
                return await self._call_once(method, arguments)
            except ReplicaDied:
                await self._back_off(attempt)
        raise self._failure("lost its replica in every attempt")

    async def stream(self, method: RemoteMethod, *arguments: Any) -> AsyncGenerator[tuple[bool, Any]]:
        """Yield the events of a streaming call, each with whether the call was restarted just before it.

        Raises the replica's own error, or :class:`EngineError`.
        """
        for attempt in range(self._max_attempts):
            is_restart = attempt > 0
            try:
                async for event in self._stream_once(method, arguments):
                    yield is_restart, event
                    is_restart = False
                return
            except ReplicaDied:
                await self._back_off(attempt)
        raise self._failure("lost its replica in every attempt")

    async def _call_once(self, method: RemoteMethod, arguments: tuple[Any, ...]) -> Any:
        response = method.remote(*arguments)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await response
        except Exception as error:
            raise self._classify(error) from error
        except BaseException:
            response.cancel()
            raise

    async def _stream_once(self, method: RemoteMethod, arguments: tuple[Any, ...]) -> AsyncGenerator[Any]:
        stream = method.remote(*arguments)
        is_complete = False
        try:
            while True:
                try:
                    async with asyncio.timeout(self._timeout_s):
                        event = await anext(stream)
                except StopAsyncIteration:
                    is_complete = True
                    return
                except Exception as error:
                    raise self._classify(error) from error
                yield event
        finally:
            if not is_complete:
                stream.cancel()  # takes effect at the replica's next token or step

    def _classify(self, error: Exception) -> Exception:
        """Convert an error of a call to the replica's own error, :class:`ReplicaDied` or :class:`EngineError`."""
        if isinstance(error, RayTaskError):
            return error.cause if isinstance(error.cause, Exception) else self._failure("failed")
        if isinstance(error, RayError | RayServeException):
            logger.warning("a replica of %s died: %s", self._stage, type(error).__name__)
            return ReplicaDied()
        if isinstance(error, TimeoutError):
            return self._failure(f"did not respond for {self._timeout_s:g} s")
        return error

    async def _back_off(self, attempt: int) -> None:
        await asyncio.sleep(min(4.0, 0.25 * 2**attempt))

    def _failure(self, reason: str) -> EngineError:
        return EngineError(f"The {self._stage} stage {reason}. Try again in a few seconds.")
