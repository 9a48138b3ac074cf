"""API keys: ``Authorization: Bearer <key>``, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from nextgpt.serve import static_page
from nextgpt.serve.errors import ApiError, error_response

OWNER = "nextgpt.owner"
"""Key of the ASGI scope under which the owner of a request is stored."""
PUBLIC_PATHS = ("/health", "/docs", "/openapi.json", *static_page.PUBLIC_PATHS)
"""Paths that need no key: load balancers have none, and browsers send none when they open a page."""
PUBLIC_PREFIXES = ("/docs/", static_page.PREFIX)


class ApiKeyAuth:
    """Refuses requests without a valid key; stores the key's fingerprint as the owner of the request.

    Without any API key every request passes, and all have the same owner.
    """

    def __init__(self, app: ASGIApp, *, api_keys: Sequence[str]) -> None:
        self._app = app
        self._digests = [key_digest(key) for key in api_keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass an authorized request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope[OWNER] = ""
        if self._digests and not is_public(scope["path"]):
            digest = self._match_api_key(Headers(scope=scope).get("authorization", ""))
            if digest is None:
                error = ApiError(
                    401,
                    "The API key is missing or invalid; send the header Authorization: Bearer <key>.",
                    code="invalid_api_key",
                    headers={"WWW-Authenticate": "Bearer"},
                )
                await error_response(error)(scope, receive, send)
                return
            scope[OWNER] = digest.hex()[:32]
        await self._app(scope, receive, send)

    def _match_api_key(self, authorization: str) -> bytes | None:
        """Return the digest of the matching key. All keys are compared, so that timing does not reveal which."""
        scheme, _, key = authorization.partition(" ")
        digest = key_digest(key.strip())
        matches = [known for known in self._digests if hmac.compare_digest(known, digest)]
        return matches[0] if matches and scheme.lower() == "bearer" else None


def key_digest(key: str) -> bytes:
    """Hash a key, so that keys of any length compare in the same time."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def is_public(path: str) -> bool:
    """Return whether a path needs no key."""
    return path in PUBLIC_PATHS or path.startswith(PUBLIC_PREFIXES)
