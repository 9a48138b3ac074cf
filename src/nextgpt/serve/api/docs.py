"""``/docs``: every route with its fields, to try out in a browser. Nothing comes from another server."""

from __future__ import annotations

from importlib.resources import files

from fastapi import APIRouter
from starlette.responses import HTMLResponse, Response

from nextgpt.serve.errors import ApiError

router = APIRouter(include_in_schema=False)

PATH = "/docs"
POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; frame-ancestors 'none'"
)
"""What the page may load: scripts as files of this server alone; Swagger UI sets styles of its own."""
TYPES = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css", "favicon.png": "image/png"}
"""Files of Swagger UI, which the package fastapi-offline carries."""
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>NExT-GPT: routes</title>
<link rel="icon" href="/docs/favicon.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="routes"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
START = """SwaggerUIBundle({url: "/openapi.json", dom_id: "#routes", deepLinking: true, validatorUrl: null});
"""


@router.get(PATH)
async def page() -> Response:
    """The page."""
    return HTMLResponse(PAGE, headers={"Content-Security-Policy": POLICY})


@router.get(f"{PATH}/start.js")
async def start() -> Response:
    """What starts the page; a file of its own, so that no script stands in the page."""
    return Response(START, media_type="text/javascript")


@router.get(f"{PATH}/{{name}}")
async def asset(name: str) -> Response:
    """A file of Swagger UI."""
    if name not in TYPES:
        raise ApiError(404, f"No such file; expected one of {', '.join(TYPES)}.")
    content = files("fastapi_offline").joinpath("static", name).read_bytes()
    return Response(content, media_type=TYPES[name], headers={"Cache-Control": "private, max-age=86400"})
