"""What stands before every route: who may ask, from where, how much, and what every answer carries.

A plain ASGI middleware, so that streams pass through as they are and a client that leaves is noticed.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import secrets
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nextgpt.serve.errors import ApiError, as_api_error, response
from nextgpt.serve.metrics import Metrics
from nextgpt.serve.settings import ServerSettings

logger = logging.getLogger("nextgpt.serve.access")

OWNER = "nextgpt.owner"
"""Where the scope says whose request it is."""
OPEN_PATHS = ("/health",)
"""Asked by load balancers, which have no key."""
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
}
PASS_COOKIE = "nextgpt-pass"
"""What a browser shows at mounted pages in place of a key."""


class Guard:
    """Refuses what may not be asked, and bounds what may.

    Args:
        pages: Paths of mounted pages, such as a web chat. A browser opens them by a cookie, which a key made.
    """

    def __init__(
        self, app: ASGIApp, *, settings: ServerSettings, metrics: Metrics, pages: Sequence[str] = ()
    ) -> None:
        self._app = app
        self._settings = settings
        self._metrics = metrics
        self._pages = tuple(pages)
        self._keys = [key_digest(key) for key in settings.api_keys]
        self._recent: OrderedDict[str, deque[float]] = OrderedDict()
        self._open: Counter[str] = Counter()
        self._reading_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it with what is wrong."""
        if scope["type"] != "http":
            await self._refuse_other(scope, receive, send)
            return
        exchange = _Exchange(scope, send)
        body = _Body(self, receive)
        try:
            with self._counted(self._check(scope)):
                await self._app(scope, body.receive, exchange.send)
        except Exception as error:
            if (door := self._door(scope, error)) is not None:
                await RedirectResponse(door, 303)(scope, receive, exchange.send)
            elif exchange.status is None:
                await response(as_api_error(error))(scope, receive, exchange.send)
            else:
                as_api_error(error)  # logs it; the answer has begun, and ends here
        finally:
            body.release()
            exchange.log(self._metrics)

    async def _refuse_other(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._app(scope, receive, send)

    @contextmanager
    def _counted(self, who: str) -> Iterator[None]:
        """Count one's open requests. Raises :class:`ApiError` where they are too many."""
        if self._open[who] >= self._settings.requests_at_once:
            raise ApiError(
                429,
                f"{self._open[who]} of your requests are open; expected fewer. Wait for one of them.",
                code="too_many_open_requests",
                retry_after_s=1,
            )
        self._open[who] += 1
        try:
            yield
        finally:
            self._open[who] -= 1
            if not self._open[who]:
                del self._open[who]

    def _check(self, scope: Scope) -> str:
        """Who asks. Raises :class:`ApiError` where it may not."""
        headers = Headers(scope=scope)
        self._check_host(headers)
        who = str((scope.get("client") or ("",))[0])
        if self._keys and scope["path"] not in (*OPEN_PATHS, *self._doors()):
            who = self._owner(headers, scope["path"])
        scope[OWNER] = who if self._keys else ""
        self._check_rate(who)
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length[:20]) > self._settings.body_bytes:
            raise self.too_large()
        return who

    def _check_host(self, headers: Headers) -> None:
        host = _host_of(headers.get("host", ""))
        allowed = self._settings.allowed_hosts
        if "*" not in allowed and host not in allowed:
            raise ApiError(
                421,
                f"The host {host[:80]!r} is not this server's; expected one that --allow-host names.",
                code="host",
            )
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != headers.get("host"):
            raise ApiError(
                403, "Another site's page asked; expected a page of this server, or a program.", code="origin"
            )

    def _owner(self, headers: Headers, path: str) -> str:
        """The fingerprint of the key that was brought. Every known key is compared, in constant time."""
        scheme, _, given = headers.get("authorization", "").partition(" ")
        digest = find_key(self._settings.api_keys, given.strip()) if scheme.lower() == "bearer" else None
        if digest is None and self._is_page(path):
            shown = cookie_parser(headers.get("cookie", "")).get(PASS_COOKIE, "")
            digest = _matching(self._keys, [page_pass(key) for key in self._keys], shown)
        if digest is None:
            raise ApiError(
                401,
                "No valid API key came; expected the header Authorization: Bearer <key>.",
                code="invalid_api_key",
            )
        return digest.hex()[:32]

    def _is_page(self, path: str) -> bool:
        return any(path == page or path.startswith(f"{page}/") for page in self._pages)

    def _doors(self) -> list[str]:
        """Where a key is typed, and how that looks."""
        names = ("key", "page/chat.css", "page/icon.svg")
        return [
            path for page in self._pages for path in ("/favicon.ico", *(f"{page}/{name}" for name in names))
        ]

    def _door(self, scope: Scope, error: Exception) -> str | None:
        """Where a person without a key is sent, who opens a page."""
        pages = [page for page in self._pages if scope["path"] in ("/", page, f"{page}/")]
        is_keyless = isinstance(error, ApiError) and error.status_code == 401
        return f"{pages[0]}/key" if pages and is_keyless and scope["method"] == "GET" else None

    def _check_rate(self, who: str) -> None:
        most = self._settings.requests_per_minute
        if not most:
            return
        now = time.monotonic()
        recent = self._recent.setdefault(who, deque())
        self._recent.move_to_end(who)
        while len(self._recent) > 10_000:
            self._recent.popitem(last=False)
        while recent and recent[0] < now - 60:
            recent.popleft()
        if len(recent) >= most:
            wait_s = max(1, round(recent[0] + 60 - now))
            raise ApiError(
                429,
                f"More than {most} requests came in a minute; expected fewer. Try again in {wait_s} s.",
                code="rate_limit_exceeded",
                retry_after_s=wait_s,
            )
        recent.append(now)

    def take(self, size_bytes: int) -> None:
        """Note that so much of a body came. Raises :class:`ApiError` where all bodies together are too much."""
        if self._reading_bytes + size_bytes > self._settings.bodies_bytes:
            raise ApiError(
                429,
                "Too much is being sent at once; expected less. Try again in 5 s.",
                code="busy",
                retry_after_s=5,
            )
        self._reading_bytes += size_bytes

    def give_back(self, size_bytes: int) -> None:
        """Note that a request is done with its body."""
        self._reading_bytes -= size_bytes

    def too_large(self) -> ApiError:
        """What a body over the limit is told."""
        most = self._settings.body_bytes / 2**20
        return ApiError(
            413, f"The request is larger than {most:.0f} MiB; expected less. Upload media to /v1/files."
        )

    @property
    def body_bytes(self) -> int:
        """Size of one request."""
        return self._settings.body_bytes

    @property
    def body_s(self) -> float:
        """Time in which a request must have arrived whole."""
        return self._settings.body_s


class _Body:
    """Counts a request's body while it comes, and looks at the clock."""

    def __init__(self, guard: Guard, receive: Receive) -> None:
        self._guard = guard
        self._receive = receive
        self._size = 0
        self._is_whole = False
        self._end = time.monotonic() + guard.body_s

    async def receive(self) -> Message:
        if self._is_whole:
            return await self._receive()
        try:
            async with asyncio.timeout(max(0.001, self._end - time.monotonic())):
                message = await self._receive()
        except TimeoutError:
            raise ApiError(
                408,
                f"The request did not come whole within {self._guard.body_s:g} s; expected it faster. Try again.",
            ) from None
        if message["type"] == "http.request":
            size = len(message.get("body", b""))
            if self._size + size > self._guard.body_bytes:
                raise self._guard.too_large()
            self._guard.take(size)
            self._size += size
            self._is_whole = not message.get("more_body", False)
        return message

    def release(self) -> None:
        self._guard.give_back(self._size)
        self._size = 0


class _Exchange:
    """One request and its answer: adds the headers, and writes a line to the log, without contents."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self._begun = time.perf_counter()
        self.id = f"req-{secrets.token_hex(8)}"
        self.status: int | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = self.id
            for name, value in HEADERS.items():
                if name != "Content-Security-Policy":
                    headers[name] = value
                else:
                    headers.setdefault(name, value)  # pages bring their own
        await self._send(message)

    def log(self, metrics: Metrics) -> None:
        seconds = time.perf_counter() - self._begun
        route = getattr(
            self._scope.get("route"), "path", "other"
        )  # never the path itself: it may name a file
        metrics.request(route, self.status or 499, seconds)
        line = {"id": self.id, "method": self._scope["method"], "route": route, "status": self.status or 499}
        logger.info("%s", json.dumps(line | {"seconds": round(seconds, 4)}))


def key_digest(key: str) -> bytes:
    """A key in the form in which it is compared."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def find_key(keys: Sequence[str], given: str) -> bytes | None:
    """The digest of the key that was given, if it is one of them. All are compared, in constant time."""
    digests = [key_digest(key) for key in keys]
    return _matching(digests, [digest.hex() for digest in digests], key_digest(given).hex())


def page_pass(digest: bytes) -> str:
    """What a browser keeps of a key: it opens mounted pages, and tells nothing of the key."""
    return hmac.digest(digest, b"nextgpt page", "sha256").hex()


def _matching(keys: Sequence[bytes], expected: Sequence[str], shown: str) -> bytes | None:
    """The key whose expectation was shown; every one is compared, in constant time."""
    matches = [hmac.compare_digest(one.encode(), shown.encode()) for one in expected]
    return next((key for key, matched in zip(keys, matches, strict=True) if matched), None)


def _host_of(header: str) -> str:
    """The name in a ``Host`` header, without its port."""
    try:
        return (urlsplit(f"//{header}").hostname or "").lower()
    except ValueError:
        return ""
