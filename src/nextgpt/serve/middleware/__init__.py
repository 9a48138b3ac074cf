"""Everything between the socket and the routes, as plain ASGI middlewares, so that streams pass through unbuffered.

::

    AccessLog -> SecurityHeaders -> GZip -> TrustedHost -> OriginCheck -> CORS -> ErrorBoundary -> ApiKeyAuth
    -> RateLimit -> BodyLimit -> HeadRequests -> routes
"""

from __future__ import annotations

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from nextgpt.serve.metrics import Metrics
from nextgpt.serve.middleware.access_log import REQUEST_ID_HEADER, AccessLog
from nextgpt.serve.middleware.auth import ApiKeyAuth
from nextgpt.serve.middleware.body_limit import BodyLimit
from nextgpt.serve.middleware.errors import ErrorBoundary
from nextgpt.serve.middleware.head import HeadRequests
from nextgpt.serve.middleware.headers import SecurityHeaders
from nextgpt.serve.middleware.origin import OriginCheck
from nextgpt.serve.middleware.rate_limit import RateLimit
from nextgpt.serve.settings import ServerSettings

__all__ = ["add_middlewares"]

MIN_COMPRESSED_BYTES = 1000
COMPRESSION_LEVEL = 4
"""Base64 of media is most of an answer; higher levels take longer and make it no smaller."""


def add_middlewares(app: FastAPI, settings: ServerSettings, metrics: Metrics) -> None:
    """Add all middlewares; the last one added is the outermost."""
    app.add_middleware(HeadRequests)
    app.add_middleware(
        BodyLimit,
        max_bytes=settings.max_body_bytes,
        max_total_bytes=settings.max_total_body_bytes,
        timeout_s=settings.body_timeout_s,
    )
    app.add_middleware(
        RateLimit, max_per_minute=settings.requests_per_minute, max_concurrent=settings.max_concurrent_requests
    )
    app.add_middleware(ApiKeyAuth, api_keys=settings.api_keys)
    app.add_middleware(ErrorBoundary)
    if settings.allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.allowed_origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"],
            expose_headers=[REQUEST_ID_HEADER, "X-File-Id", "Retry-After"],
        )
    app.add_middleware(OriginCheck, allowed_origins=settings.allowed_origins)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(settings.allowed_hosts), www_redirect=False)
    app.add_middleware(GZipMiddleware, minimum_size=MIN_COMPRESSED_BYTES, compresslevel=COMPRESSION_LEVEL)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(AccessLog, metrics=metrics)
