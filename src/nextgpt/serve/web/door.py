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
from nextgpt.serve.web.strings import strings_for

REFUSED_S = 0.5
"""How long a wrong key is thought about."""
FORM_BYTES = 4096
PAGE = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="same-origin">
<title>NExT-GPT</title><link rel="icon" href="page/icon.svg"><link rel="stylesheet" href="page/chat.css">
</head>
<body class="door">
<main>
<h1>NExT-GPT</h1>
<form method="post" action="key">
<label for="key">{label}</label>
<input id="key" name="key" type="password" autocomplete="current-password" required autofocus>
<p role="alert">{problem}</p>
<button type="submit">{enter}</button>
</form>
</main>
</body>
</html>
"""
POLICY = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'"
    )
}


def door(settings: ServerSettings, home: str) -> APIRouter:
    """The page of the key, and what it posts to; ``home`` is where the chat is."""
    router = APIRouter(include_in_schema=False)

    @router.get("/key", response_model=None)
    def ask(request: Request) -> Response:
        return _page(request)

    @router.post("/key", response_model=None)
    async def check(request: Request) -> Response:
        typed = await _typed(request)
        digest = find_key(settings.api_keys, typed)
        if digest is None:
            await asyncio.sleep(REFUSED_S)
            return _page(request, is_wrong=True)
        answer = RedirectResponse(f"{home}/", 303)
        answer.set_cookie(
            PASS_COOKIE, page_pass(digest), path=home, httponly=True, samesite="strict",
            secure=request.url.scheme == "https",
        )  # fmt: skip
        return answer

    return router


def _page(request: Request, *, is_wrong: bool = False) -> Response:
    words = strings_for(request.headers.get("accept-language", ""))
    shown = {"language": words.language, "label": words.key, "enter": words.key_open}
    problem = words.key_wrong if is_wrong else ""
    content = PAGE.format(
        **{name: html.escape(text) for name, text in (shown | {"problem": problem}).items()}
    )
    return HTMLResponse(content, 401 if is_wrong else 200, POLICY)


async def _typed(request: Request) -> str:
    """The key in the form, which is read no further than a form of this kind is long."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > FORM_BYTES:
            return ""
    return parse_qs(body.decode("utf-8", "replace")).get("key", [""])[0].strip()
