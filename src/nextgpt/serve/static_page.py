"""Serve the chat page: the files of ``static/`` with a strict Content-Security-Policy, cached and compressed.

The page is a client of the HTTP API like any other; this module does not depend on chats. The files hold no secret, so
they need no key.

::

    /                            index.html, revalidated at every visit
    /static/<digest>/<name>      everything else, cached for good: a new release has another digest
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from nextgpt.serve.errors import ApiError

router = APIRouter(include_in_schema=False)

STATIC = Path(__file__).with_name("static")
PREFIX = "/static/"
PUBLIC_PATHS = ("/", "/favicon.ico")
"""Paths that are answered without a key, besides those under :data:`PREFIX`."""
MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "media-src blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
"""Scripts and styles are files of this server; no inline ones, no ``eval``, no HTML from strings (Trusted Types)."""
PAGE_HEADERS = {
    "Content-Security-Policy": POLICY,
    "Permissions-Policy": "camera=(self), microphone=(self)",
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True)
class StaticFile:
    """A file with its compressed content and headers."""

    content: bytes
    compressed: bytes
    media_type: str
    etag: str


@lru_cache(maxsize=1)
def static_files() -> tuple[str, dict[str, StaticFile]]:
    """Read the files of the page once; return a digest of all of them, and the files by name."""
    contents = {path.name: path.read_bytes() for path in sorted(STATIC.iterdir()) if path.suffix in MEDIA_TYPES}
    digest = hashlib.sha256(b"\0".join(contents.values())).hexdigest()[:16]
    contents["index.html"] = _index(contents, f"{PREFIX}{digest}")
    return digest, {name: _static_file(name, content) for name, content in contents.items()}


def _index(contents: dict[str, bytes], base: str) -> bytes:
    """Fill in where the files are; name all modules, so that the browser fetches them side by side."""
    modules = [name for name in contents if name.endswith(".js") and name not in ("chat.js", "theme.js")]
    preload = "\n".join(f'<link rel="modulepreload" href="{base}/{name}">' for name in modules)
    text = contents["index.html"].decode().replace("{base}", base).replace("{preload}", preload)
    return text.encode()


def _static_file(name: str, content: bytes) -> StaticFile:
    return StaticFile(
        content,
        gzip.compress(content, mtime=0),
        MEDIA_TYPES[Path(name).suffix],
        f'"{hashlib.sha256(content).hexdigest()[:32]}"',
    )


@router.get("/", response_model=None)
async def get_page(request: Request) -> Response:
    """Return the page."""
    _, files = static_files()
    return _respond(request, files["index.html"], PAGE_HEADERS)


@router.get("/favicon.ico", response_model=None)
async def get_favicon() -> Response:
    """Redirect browsers that request the icon under its conventional name."""
    return RedirectResponse(f"{PREFIX}{static_files()[0]}/icon.svg")


@router.get(PREFIX + "{digest}/{name}", response_model=None)
async def get_static_file(request: Request, digest: str, name: str) -> Response:
    """Return a file of the page."""
    current, files = static_files()
    if digest != current or name not in files or name == "index.html":
        raise ApiError(404, "No such file; expected one that the page names. Reload the page.")
    return _respond(request, files[name], {"Cache-Control": "public, max-age=31536000, immutable"})


def _respond(request: Request, file: StaticFile, headers: dict[str, str]) -> Response:
    headers = headers | {"ETag": file.etag, "Vary": "Accept-Encoding"}
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(file.compressed, media_type=file.media_type, headers=headers | {"Content-Encoding": "gzip"})
    return Response(file.content, media_type=file.media_type, headers=headers)
