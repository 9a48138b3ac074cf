"""Request ids, one log line per request without its content, and request metrics."""

from __future__ import annotations

import json
import logging
import re
import secrets
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nextgpt.serve.metrics import Metrics
from nextgpt.serve.request_id import REQUEST_ID
from nextgpt.serve.streaming import HTTP_CLIENT_CLOSED_REQUEST

logger = logging.getLogger("nextgpt.serve.access")

REQUEST_ID_HEADER = "X-Request-Id"
CLIENT_REQUEST_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)
"""Request ids that are taken over from the client; others are replaced."""


class AccessLog:
    """Outermost middleware: sees every request and the status of its answer."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, then log it."""
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        status = HTTP_CLIENT_CLOSED_REQUEST
        request_id = Headers(scope=scope).get(REQUEST_ID_HEADER, "")
        if not CLIENT_REQUEST_ID.fullmatch(request_id):
            request_id = f"req-{secrets.token_hex(8)}"
        REQUEST_ID.set(request_id)

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = request_id
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            # The route's pattern, never the path itself: it may contain a file id.
            route = getattr(scope.get("route"), "path", "other")
            seconds = time.perf_counter() - start
            self._metrics.record_request(route, status, seconds)
            line = {"id": request_id, "method": scope["method"], "route": route, "status": status}
            logger.info("%s", json.dumps(line | {"seconds": round(seconds, 4)}))
