"""Health, readiness, version and metrics: for load balancers, monitoring and people."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from nextgpt.serve.api.http_responses import json_response
from nextgpt.serve.state import get_state

public_router = APIRouter(tags=["status"])
router = APIRouter(tags=["status"])


class Health(BaseModel):
    """State of the process."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """State of the engine."""

    status: Literal["ready", "not ready"]
    model: str
    waiting: int
    """Queued and running requests."""


class Version(BaseModel):
    """Version of the package."""

    version: str


@public_router.get("/health")
async def get_health() -> Health:
    """Return 200 while the process is alive."""
    return Health()


@router.get("/ready", response_model=Readiness)
async def get_readiness(request: Request) -> Response:
    """Return 200 if the model answers, 503 while it is being loaded or the server is stopping."""
    engine = get_state(request).engine
    state = Readiness(
        status="ready" if engine.is_ready else "not ready", model=engine.name, waiting=engine.num_unfinished
    )
    return json_response(state, 200 if engine.is_ready else 503)


@router.get("/version")
async def get_version() -> Version:
    """Return the version of the package."""
    try:
        return Version(version=version("nextgpt"))
    except PackageNotFoundError:
        return Version(version="unknown")


TEXT = {"content": {"text/plain": {"schema": {"type": "string"}}}}


@router.get("/metrics", response_class=Response, responses={200: TEXT})
async def get_metrics(request: Request) -> Response:
    """Return metrics in Prometheus' text format."""
    text = get_state(request).metrics.text()
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")
