"""Id of the HTTP request that is being handled, for log lines of everything that it causes."""

from __future__ import annotations

from contextvars import ContextVar

REQUEST_ID: ContextVar[str] = ContextVar("nextgpt_request_id", default="-")
"""``X-Request-Id`` of the current request; ``-`` outside of requests."""
