"""``/docs``: Swagger UI with every route, served completely from this server."""

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
"""Scripts are files of this server; Swagger UI sets inline styles."""
MEDIA_TYPES = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css", "favicon.png": "image/png"}
"""Files of Swagger UI in the package fastapi-offline."""
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
START_SCRIPT = """SwaggerUIBundle({url: "/openapi.json", dom_id: "#routes", deepLinking: true, validatorUrl: null});
"""


@router.get(PATH)
async def get_docs() -> Response:
    """Return the page."""
    return HTMLResponse(PAGE, headers={"Content-Security-Policy": POLICY})


@router.get(f"{PATH}/start.js")
async def get_start_script() -> Response:
    """Return the script that starts Swagger UI; the policy forbids inline scripts."""
    return Response(START_SCRIPT, media_type="text/javascript")


@router.get(f"{PATH}/{{name}}")
async def get_swagger_file(name: str) -> Response:
    """Return a file of Swagger UI."""
    if name not in MEDIA_TYPES:
        raise ApiError(404, f"No such file; expected one of {', '.join(MEDIA_TYPES)}.")
    content = files("fastapi_offline").joinpath("static", name).read_bytes()
    return Response(content, media_type=MEDIA_TYPES[name], headers={"Cache-Control": "private, max-age=86400"})
