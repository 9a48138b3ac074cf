"""Refusal of requests that pages of other sites send (CSRF, DNS rebinding)."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from nextgpt.serve.errors import ApiError, error_response


class OriginCheck:
    """Refuses requests whose ``Origin`` is neither this server nor one of ``allowed_origins``."""

    def __init__(self, app: ASGIApp, *, allowed_origins: Collection[str] = ()) -> None:
        self._app = app
        self._allowed_origins = allowed_origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass an allowed request on, or refuse it."""
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        origin = headers.get("origin")
        if origin is None or self._is_allowed(origin, headers.get("host")):
            await self._app(scope, receive, send)
            return
        message = "A page of another origin sent this request; the operator can allow it with --allow-origin."
        await error_response(ApiError(403, message, code="origin"))(scope, receive, send)

    def _is_allowed(self, origin: str, host: str | None) -> bool:
        return "*" in self._allowed_origins or origin in self._allowed_origins or urlsplit(origin).netloc == host
