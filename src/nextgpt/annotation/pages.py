"""Application of a page for people: its static files, its media by opaque ids, and the guards around its routes.

::

    /                   index.html of the page
    /static/<name>      files of the page, of this package and of the chat page
    /media/<id>         a medium; the id does not reveal its origin
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from pathlib import Path

from fastapi import APIRouter, FastAPI
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import FileResponse, Response

from nextgpt.media.file_types import mime_of
from nextgpt.serve.errors import ApiError, register_error_handlers
from nextgpt.serve.middleware.body_limit import BodyLimit
from nextgpt.serve.middleware.errors import ErrorBoundary
from nextgpt.serve.middleware.headers import SecurityHeaders
from nextgpt.serve.middleware.origin import OriginCheck
from nextgpt.serve.static_page import MEDIA_TYPES, POLICY, STATIC

SHARED_STATIC = Path(__file__).with_name("static")
CHAT_FILES = ("base.css", "dom.js", "theme.js", "icon.svg")
"""Files of the chat page that other pages use."""
PAGE_POLICY = POLICY.replace("media-src blob:", "media-src 'self'")
MAX_BODY_BYTES = 256 * 1024
BODY_TIMEOUT_S = 30.0


class MediaTable:
    """Media that a page may load, by ids that only the server can trace back.

    Args:
        secret: Key of the ids: the same path has the same id as long as the secret stays.
    """

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._paths: dict[str, Path] = {}

    def add(self, path: Path) -> str:
        """Return the address of a medium on the page's server."""
        name = opaque_id(self._secret, str(path.absolute()))
        self._paths[name] = path
        return f"/media/{name}"

    def response(self, name: str) -> Response:
        """Return a medium, or the requested range of it. Raises :class:`ApiError`."""
        path = self._paths.get(name)
        if path is None or not path.is_file():
            raise ApiError(404, "There is no such medium; expected an address that the page names. Reload the page.")
        return FileResponse(path, media_type=mime_of(path.suffix), headers={"Cache-Control": "private, max-age=3600"})


def opaque_id(secret: str, *values: object) -> str:
    """Return an id of ``values`` from which nobody without the secret learns them."""
    message = "\0".join(map(str, values)).encode()
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()[:20]


def create_pages(
    title: str, static: Path, media: MediaTable, routes: APIRouter, *, allowed_hosts: Sequence[str] = ("*",)
) -> FastAPI:
    """Build the application of a page.

    Args:
        static: Folder with ``index.html`` and the scripts and styles of the page.
        routes: Routes of the page's own API.
        allowed_hosts: Accepted ``Host`` headers.
    """
    app = FastAPI(title=title, docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(_file_routes(static, media))
    app.include_router(routes)
    register_error_handlers(app)
    app.add_middleware(
        BodyLimit, max_bytes=MAX_BODY_BYTES, max_total_bytes=64 * MAX_BODY_BYTES, timeout_s=BODY_TIMEOUT_S
    )
    app.add_middleware(ErrorBoundary)
    app.add_middleware(OriginCheck)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(allowed_hosts), www_redirect=False)
    app.add_middleware(SecurityHeaders)
    return app


def _file_routes(static: Path, media: MediaTable) -> APIRouter:
    router = APIRouter()
    files = {name: STATIC / name for name in CHAT_FILES}
    for folder in (SHARED_STATIC, static):
        files |= {path.name: path for path in folder.iterdir() if path.suffix in MEDIA_TYPES}

    @router.get("/", response_model=None)
    def get_page() -> Response:
        headers = {"Content-Security-Policy": PAGE_POLICY, "Cache-Control": "no-cache"}
        return FileResponse(static / "index.html", media_type="text/html", headers=headers)

    @router.get("/favicon.ico", response_model=None)
    @router.get("/static/{name}", response_model=None)
    def get_static_file(name: str = "icon.svg") -> Response:
        if name not in files:
            raise ApiError(404, "No such file; expected one that the page names. Reload the page.")
        path = files[name]
        return FileResponse(path, media_type=MEDIA_TYPES[path.suffix], headers={"Cache-Control": "no-cache"})

    @router.get("/media/{name}", response_model=None)
    def get_medium(name: str) -> Response:
        return media.response(name)

    return router
