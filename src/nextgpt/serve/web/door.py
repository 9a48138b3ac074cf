"""Where the server has keys: a page on which a key is typed, once a browser. What the browser keeps is no key.

The cookie is made from the key (:func:`nextgpt.serve.guard.page_pass`), opens the chat page alone, cannot be read by
scripts, and is sent by this site's own pages alone.
"""

from __future__ import annotations

import asyncio
import html
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from nextgpt.serve.guard import PASS_COOKIE, find_key, page_pass
from nextgpt.serve.settings import ServerSettings

REFUSED_S = 0.5
"""How long a wrong key is thought about."""
FORM_BYTES = 4096
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>NExT-GPT</title><link rel="stylesheet" href="page/chat.css">
</head>
<body class="door">
<main>
<h1>NExT-GPT</h1>
<form method="post" action="key">
<label for="key">API key</label>
<input id="key" name="key" type="password" autocomplete="current-password" required autofocus>
<p role="alert">{problem}</p>
<button type="submit">Open the chat</button>
</form>
</main>
</body>
</html>
"""
POLICY = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'"
}
WRONG = "This key is not known; expected one that the server was started with. Check it."


def door(settings: ServerSettings, home: str) -> APIRouter:
    """The page of the key, and what it posts to; ``home`` is where the chat is."""
    router = APIRouter(include_in_schema=False)

    @router.get("/key", response_model=None)
    def ask() -> Response:
        return HTMLResponse(PAGE.format(problem=""), headers=POLICY)

    @router.post("/key", response_model=None)
    async def check(request: Request) -> Response:
        typed = await _typed(request)
        digest = find_key(settings.api_keys, typed)
        if digest is None:
            await asyncio.sleep(REFUSED_S)
            return HTMLResponse(PAGE.format(problem=html.escape(WRONG)), 401, POLICY)
        answer = RedirectResponse(f"{home}/", 303)
        answer.set_cookie(
            PASS_COOKIE, page_pass(digest), path=home, httponly=True, samesite="strict",
            secure=request.url.scheme == "https",
        )  # fmt: skip
        return answer

    return router


async def _typed(request: Request) -> str:
    """The key in the form, which is read no further than a form of this kind is long."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > FORM_BYTES:
            return ""
    return parse_qs(body.decode("utf-8", "replace")).get("key", [""])[0]
