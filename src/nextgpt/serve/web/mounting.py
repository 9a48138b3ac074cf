"""Puts the page into the server's app, without anything that is fetched from elsewhere."""

from __future__ import annotations

import atexit
import os
import re
from collections.abc import Callable

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.responses import RedirectResponse
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nextgpt.serve.web.rooms import Rooms
from nextgpt.serve.web.strings import ENGLISH
from nextgpt.serve.web.talk import Talk

PATH = "/chat"
POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; connect-src 'self' data: blob:; object-src 'none'; base-uri 'self'; "
    "frame-ancestors 'none'"
)
"""Nothing from other machines. Gradio starts itself with inline scripts."""
ELSEWHERE = re.compile(
    rb"<link[^>]*\shref=\"https?://[^\"]*\"[^>]*>|<script[^>]*\ssrc=\"https?://[^\"]*\"[^>]*>\s*</script>"
    rb"|<meta[^>]*\scontent=\"https?://[^\"]*\"[^>]*>|<link rel=\"manifest\"[^>]*>"
)
"""Tags with which Gradio's page fetches fonts and scripts from elsewhere, and a manifest that it does not mount."""


def install(app: FastAPI) -> None:
    """Mount the chat at :data:`PATH` and send the root there. Call it once ``app.state.service`` is set."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    import gradio

    from nextgpt.serve.web.page import CSS, HEAD, build_page, theme

    service = app.state.service
    rooms = Rooms(most=1_000, keep_s=service.settings.file_s)
    atexit.register(rooms.close)
    gradio.set_static_paths([rooms.folder])  # given out as they are, and gone with their room
    page = build_page(Talk(service, ENGLISH), rooms)
    gradio.mount_gradio_app(
        app,
        page,
        path=PATH,
        theme=theme(),
        css=CSS,
        head=HEAD,
        footer_links=[],
        ssr_mode=False,
        max_file_size=service.settings.medium_bytes,
        show_error=True,
        enable_monitoring=False,
    )
    mounted = app.router.routes[-1]
    assert isinstance(mounted, Mount) and mounted.path == PATH, "Gradio mounts its app last"
    mounted.app = OwnOnly(mounted.app)
    app.add_route("/favicon.ico", lambda request: RedirectResponse(f"{PATH}/favicon.ico"), include_in_schema=False)
    app.add_route("/", lambda request: RedirectResponse(f"{PATH}/"), include_in_schema=False)


class OwnOnly:
    """Takes tags that fetch from elsewhere out of pages, and forbids the rest by a Content-Security-Policy."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything but pages through as it comes."""
        await self._app(scope, receive, _page_sender(send) if scope["type"] == "http" else send)


def _page_sender(send: Send) -> Callable[[Message], object]:
    start: Message | None = None
    body = b""

    async def sent(message: Message) -> None:
        nonlocal start, body
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["content-security-policy"] = POLICY
            if headers.get("content-type", "").startswith("text/html") and "content-encoding" not in headers:
                start = message
                return
        elif start is not None:
            body += message.get("body", b"")
            if message.get("more_body"):
                return
            body = ELSEWHERE.sub(b"", body)
            MutableHeaders(scope=start)["content-length"] = str(len(body))
            await send(start)
            message = {"type": "http.response.body", "body": body}
        await send(message)

    return sent


MOUNT = (PATH, install)
"""For ``create_app(mount=[MOUNT])``."""
