"""How the server is: for load balancers, monitoring, and people."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from nextgpt.serve.state import get_state

router = APIRouter(tags=["status"])


@router.get("/health")
async def health() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/ready", response_model=None)
async def ready(request: Request) -> Response:
    """The model answers; 503 while it is loaded or while the server stops."""
    engine = get_state(request).engine
    state = {
        "status": "ready" if engine.is_ready else "not ready",
        "model": engine.name,
        "waiting": engine.num_unfinished,
    }
    return JSONResponse(state, 200 if engine.is_ready else 503)


@router.get("/version")
async def which_version() -> dict[str, Any]:
    """The version of the package."""
    try:
        return {"version": version("nextgpt")}
    except PackageNotFoundError:
        return {"version": "unknown"}


@router.get("/metrics", response_model=None)
async def metrics(request: Request) -> Response:
    """Prometheus' text format."""
    return Response(get_state(request).metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
