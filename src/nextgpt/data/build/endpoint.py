"""Client of OpenAI-compatible chat endpoints: stored answers, limited concurrency, back-off and a budget.

It does not depend on dialogues. Every attempt is recorded by :class:`~.request_store.RequestStore` before it is sent.
"""

from __future__ import annotations

import asyncio
import email.utils
import hashlib
import itertools
import json
import os
import random
import time
from dataclasses import dataclass
from typing import Any

import httpx

from nextgpt.data.build.recipe import EndpointConfig
from nextgpt.data.build.request_store import Answer, RequestStore
from nextgpt.errors import ConfigError

FATAL = (401, 403, 404)
"""Statuses that all requests of this recipe would get."""
RETRIED = (408, 409, 425, 429)
"""Statuses besides 5xx after which another attempt may succeed."""
MESSAGE_OVERHEAD_TOKENS = 16
"""Upper bound of the tokens that a chat template adds to each message."""


class EndpointFailed(Exception):
    """A request got no answer after all attempts; another run sends it again."""


class RequestRefused(Exception):
    """The endpoint refused this request, for example because of its content."""


@dataclass(frozen=True)
class ChatRequest:
    """A request with a JSON object as its answer."""

    purpose: str
    """Shown in the store, for example ``mosit-00012 repair``."""
    messages: tuple[tuple[str, str], ...]
    """Role and content."""
    schema: str
    """JSON schema of the answer, as JSON."""

    def key(self, config: EndpointConfig) -> str:
        """Return a hash of everything that the answer depends on."""
        settings = (config.model, config.temperature, config.max_tokens, self.messages, self.schema)
        return hashlib.sha256(json.dumps(settings, ensure_ascii=False).encode()).hexdigest()[:32]

    def max_input_tokens(self) -> int:
        """Return an upper bound: tokenizers of bytes make at most one token per byte."""
        sizes = (len(content.encode()) + MESSAGE_OVERHEAD_TOKENS for _, content in self.messages)
        return sum(sizes) + len(self.schema.encode())


@dataclass(frozen=True)
class _Failure:
    """An attempt without an answer that another attempt may get."""

    text: str
    wait_s: float | None = None
    """Pause that the endpoint asks for."""
    pauses_all: bool = False
    """True if other requests wait too."""


class ChatClient:
    """Sends requests to the URLs of a config in turn.

    Args:
        transport: For tests; ``None`` is the network.
    """

    def __init__(
        self, config: EndpointConfig, store: RequestStore, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._config = config
        self._store = store
        headers = {"Accept-Encoding": "identity"}  # a small compressed body could expand beyond the limit
        if config.api_key_env:
            headers["Authorization"] = f"Bearer {read_api_key(config.api_key_env)}"
        self._http = httpx.AsyncClient(transport=transport, headers=headers, timeout=config.timeout_s)
        self._slots = asyncio.Semaphore(config.concurrency)
        self._urls = itertools.cycle(config.urls)
        self._takes_schema = dict.fromkeys(config.urls, config.structured != "prompt")
        self._resume_at = 0.0
        """Time until which all requests pause, because the answer to one asked for a pause."""
        self.sent = 0
        """Attempts of this client."""

    async def complete(self, request: ChatRequest) -> str:
        """Return the stored answer, or send the request.

        Raises:
            BudgetReached: The request might exceed the budget; it was not sent.
            EndpointFailed: No answer after all attempts.
            RequestRefused: The endpoint refused this request.
            ConfigError: The endpoint refuses every request.
        """
        key = request.key(self._config)
        if (stored := self._store.find(key)) is not None:
            return stored.text
        outcome: Answer | _Failure = _Failure("no attempt")
        async with self._slots:
            for attempt in range(self._config.tries):
                await self._pause()
                outcome = await self._try(key, request)
                if isinstance(outcome, Answer):
                    return outcome.text
                await self._back_off(attempt, outcome)
        raise EndpointFailed(f"{outcome.text}, {self._config.tries} times")

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def _try(self, key: str, request: ChatRequest) -> Answer | _Failure:
        """Send once."""
        url = next(self._urls)
        price = self._price(request.max_input_tokens(), self._config.max_tokens)
        body = self._body(request, with_schema=self._takes_schema[url])
        self._store.reserve(key, purpose=request.purpose, body=json.dumps(body, ensure_ascii=False), price=price)
        self.sent += 1
        try:
            async with self._http.stream("POST", f"{url.rstrip('/')}/chat/completions", json=body) as response:
                content, is_cut = await _read_limited(response, self._config.max_answer_bytes)
        except httpx.ConnectError as error:
            self._store.release(key)
            return _Failure(f"{url} cannot be reached ({error})")
        except httpx.HTTPError as error:
            self._store.lose(key, f"{type(error).__name__}: {error}")
            return _Failure(f"{url} broke off ({type(error).__name__})")
        except BaseException:  # cancelled in flight
            self._store.lose(key, "cancelled")
            raise
        if response.status_code != 200:
            self._store.release(key)
            return self._check_status(url, response, content, had_schema="response_format" in body)
        answer = Answer("", cost=price) if is_cut else self._read(content, price)
        if answer is None:
            self._store.lose(key, "the response is no JSON of a chat completion")
            return _Failure(f"{url} sent no chat completion")
        self._store.answer(key, answer)
        return answer

    def _body(self, request: ChatRequest, *, with_schema: bool) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self._config.model,
            "messages": [{"role": role, "content": content} for role, content in request.messages],
            self._config.max_tokens_key: self._config.max_tokens,
        }
        if self._config.temperature is not None:
            body["temperature"] = self._config.temperature
        if with_schema:
            schema = {"name": "dialogue", "strict": True, "schema": json.loads(request.schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body

    def _check_status(self, url: str, response: httpx.Response, content: bytes, *, had_schema: bool) -> _Failure:
        """Return the failure of a status that may pass; raise for any other."""
        status, text = response.status_code, content[:500].decode(errors="replace")
        failure = f"{url} answered {status}: {' '.join(text.split())[:300]}"
        if status in RETRIED or status >= 500:
            return _Failure(failure, _retry_after_s(response), pauses_all=status == 429)
        if status in (400, 422) and had_schema and self._config.structured == "auto" and "response_format" in text:
            self._takes_schema[url] = False
            return _Failure(failure, wait_s=0.0)
        if status in FATAL or 300 <= status < 400:
            raise ConfigError(f"{failure}; expected a chat completion. Check llm.urls, llm.model and llm.api_key_env.")
        raise RequestRefused(failure)

    def _read(self, content: bytes, reserved: float) -> Answer | None:
        """Read a chat completion; usage that is missing or negative counts as the reservation."""
        try:
            completion = json.loads(content)
            message = completion["choices"][0]["message"]
            text = message.get("content") or ""
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return None
        if not isinstance(text, str):
            return None
        text = text.encode(errors="replace").decode()  # lone surrogates can be neither stored nor sent
        usage = completion.get("usage")
        counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")] if isinstance(usage, dict) else []
        if len(counts) == 2 and all(isinstance(count, int) and 0 <= count < 2**40 for count in counts):
            return Answer(text, *counts, cost=self._price(*counts))
        return Answer(text, cost=reserved)

    def _price(self, input_tokens: int, output_tokens: int) -> float:
        return (input_tokens * self._config.price_input + output_tokens * self._config.price_output) / 1e6

    async def _pause(self) -> None:
        while (left_s := self._resume_at - time.monotonic()) > 0:
            await asyncio.sleep(left_s)

    async def _back_off(self, attempt: int, failure: _Failure) -> None:
        """Wait as long as the endpoint asks, otherwise exponentially with jitter; 429 pauses all requests."""
        own_s = 0.5 * 2**attempt * random.uniform(0.5, 1)
        pause_s = min(self._config.max_wait_s, own_s if failure.wait_s is None else failure.wait_s)
        if failure.pauses_all:
            self._resume_at = max(self._resume_at, time.monotonic() + pause_s)
        else:
            await asyncio.sleep(pause_s)


def read_api_key(variable: str) -> str:
    """Return the key in an environment variable. Raises :class:`ConfigError` if it is not set."""
    key = os.environ.get(variable, "")
    if not key:
        raise ConfigError(f"The environment variable {variable} is not set; expected the key of the endpoint. Set it.")
    return key


async def _read_limited(response: httpx.Response, limit: int) -> tuple[bytes, bool]:
    """Return at most ``limit`` bytes of the body, and whether it was longer."""
    content = bytearray()
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > limit:
            return bytes(content[:limit]), True
    return bytes(content), False


def _retry_after_s(response: httpx.Response) -> float | None:
    """Return the seconds of a ``Retry-After`` header, which holds a number or a date."""
    value = response.headers.get("retry-after", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return None
