"""Calls of replicas that may die: asked anew with what was told already left out, or failed in words. Never silent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any, Protocol, runtime_checkable

from ray.exceptions import RayError, RayTaskError
from ray.serve.exceptions import RayServeException

from nextgpt.serve.engine.base import EngineError

logger = logging.getLogger("nextgpt.serve")


@runtime_checkable
class RemoteMethod(Protocol):
    """A method of a deployment, as its handle gives it."""

    def remote(self, *arguments: Any) -> Any:
        """Call it on one of the replicas: what comes is awaited, or streamed."""
        ...


class ReplicaDied(Exception):
    """A replica died, or none could be reached, while it was asked."""


class RetryingStage:
    """Asks the replicas of one step.

    Args:
        step: Its name, for messages.
        tries: How often it is asked, before the answer fails.
        patience_s: Silence after which the answer fails.
    """

    def __init__(self, stage: str, *, max_attempts: int, timeout_s: float) -> None:
        self._stage = stage
        self._max_attempts = max_attempts
        self._timeout_s = timeout_s

    async def call(self, method: RemoteMethod, *arguments: Any) -> Any:
        """What a call gives. Raises what it raised, or :class:`EngineError`."""
        for attempt in range(self._max_attempts):
            try:
                return await self._once(method, arguments)
            except ReplicaDied:
                await self._wait(attempt)
        raise self._failure("was lost at each of several tries")

    async def stream(self, method: RemoteMethod, *arguments: Any) -> AsyncIterator[tuple[bool, Any]]:
        """What a streaming call tells; with each event, whether the call was begun anew just before it.

        Raises what the call raised, or :class:`EngineError`.
        """
        for attempt in range(self._max_attempts):
            is_new = attempt > 0
            try:
                async for event in self._stream(method, arguments):
                    yield is_new, event
                    is_new = False
                return
            except ReplicaDied:
                await self._wait(attempt)
        raise self._failure("was lost at each of several tries")

    async def _once(self, method: RemoteMethod, arguments: tuple[Any, ...]) -> Any:
        response = method.remote(*arguments)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await response
        except Exception as error:
            raise self._classify(error) from error
        except BaseException:
            response.cancel()
            raise

    async def _stream(self, method: RemoteMethod, arguments: tuple[Any, ...]) -> AsyncIterator[Any]:
        stream = method.remote(*arguments)
        is_over = False
        try:
            while True:
                try:
                    async with asyncio.timeout(self._timeout_s):
                        event = await anext(stream)
                except StopAsyncIteration:
                    is_over = True
                    return
                except Exception as error:
                    raise self._classify(error) from error
                yield event
        finally:
            if not is_over:
                stream.cancel()  # the replica hears of it at its next token or step

    def _classify(self, error: Exception) -> Exception:
        """What an error of a call says: the replica's own, its loss, or that nothing came."""
        if isinstance(error, RayTaskError):
            return error.cause if isinstance(error.cause, Exception) else self._failure("failed")
        if isinstance(error, RayError | RayServeException):
            logger.warning("a replica of %s was lost: %s", self._stage, type(error).__name__)
            return ReplicaDied()
        if isinstance(error, TimeoutError):
            return self._failure(f"told nothing for {self._timeout_s:g} s")
        return error

    async def _wait(self, attempt: int) -> None:
        await asyncio.sleep(min(4.0, 0.25 * 2**attempt))

    def _failure(self, what: str) -> EngineError:
        return EngineError(f"The {self._stage} step {what}; expected an answer. Try again in a few seconds.")
