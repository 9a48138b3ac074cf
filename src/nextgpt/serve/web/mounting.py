"""Puts the page into the server's app, without anything that is fetched from elsewhere."""

from __future__ import annotations

import atexit
import base64
import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.responses import RedirectResponse
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nextgpt.serve.web.door import door
from nextgpt.serve.web.rooms import Rooms
from nextgpt.serve.web.routes import Files
from nextgpt.serve.web.talk import Talk

PATH = "/chat"
STATIC = Path(__file__).with_name("static")
KEEP_S = 24 * 3600.0
"""How long a conversation is kept that nobody looks at."""
POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-eval'{hashes}; style-src 'self' 'unsafe-inline'; "
    "connect-src 'self' data: blob:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
"""Nothing from other machines, and no script in a page but those that the page was sent with, named by their hashes.
Gradio compiles the templates of its components, which wants ``unsafe-eval``."""
ELSEWHERE = re.compile(
    rb"<link[^>]*\shref=\"https?://[^\"]*\"[^>]*>|<script[^>]*\ssrc=\"https?://[^\"]*\"[^>]*>\s*</script>"
    rb"|<meta[^>]*\scontent=\"https?://[^\"]*\"[^>]*>|<link rel=\"manifest\"[^>]*>"
)
"""Tags with which Gradio's page fetches fonts and scripts from elsewhere, and a manifest that it does not mount."""
INLINE = re.compile(rb"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL)


def install(app: FastAPI) -> None:
    """Mount the chat at :data:`PATH` and send the root there. Call it once ``app.state.service`` is set."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    import gradio

    from nextgpt.serve.web.page import HEAD, build_page, theme

    service = app.state.service
    rooms, talk = Rooms(most=1_000, keep_s=KEEP_S), Talk(service)
    atexit.register(rooms.close)
    # Before Gradio's app, which takes every path below its own.
    app.mount(f"{PATH}/page", OwnOnly(StaticFiles(directory=STATIC)))
    app.include_router(Files(talk, rooms).router(), prefix=PATH)
    app.include_router(door(service.settings, PATH), prefix=PATH)
    gradio.mount_gradio_app(
        app,
        build_page(talk, rooms),
        path=PATH,
        theme=theme(),
        head=HEAD,
        footer_links=[],
        ssr_mode=False,
        max_file_size=service.settings.medium_bytes,
        show_error=False,
        enable_monitoring=False,
    )
    mounted = app.router.routes[-1]
    assert isinstance(mounted, Mount) and mounted.path == PATH, "Gradio mounts its app last"
    mounted.app = OwnOnly(mounted.app)
    app.add_route(
        "/favicon.ico", lambda request: RedirectResponse(f"{PATH}/page/icon.svg"), include_in_schema=False
    )
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
            headers["content-security-policy"] = policy(b"")
            if headers.get("content-type", "").startswith("text/html") and "content-encoding" not in headers:
                start = message
                return
        elif start is not None:
            body += message.get("body", b"")
            if message.get("more_body"):
                return
            body = ELSEWHERE.sub(b"", body)
            headers = MutableHeaders(scope=start)
            headers["content-length"] = str(len(body))
            headers["content-security-policy"] = policy(body)
            await send(start)
            message = {"type": "http.response.body", "body": body}
        await send(message)

    return sent


def policy(page: bytes) -> str:
    """What a page may load and run: of inline scripts those that it holds when it is sent."""
    digests = (hashlib.sha256(script).digest() for script in INLINE.findall(page))
    hashes = "".join(f" 'sha256-{base64.b64encode(digest).decode('ascii')}'" for digest in digests)
    return POLICY.format(hashes=hashes)


MOUNT = (PATH, install)
"""For ``create_app(mount=[MOUNT])``."""
