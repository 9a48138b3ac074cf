"""Routes: one module per family of paths, each with a ``router``."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Security
from fastapi.security import HTTPBearer

from nextgpt.serve.api import (
    audio,
    chat,
    completions,
    docs,
    embeddings,
    files,
    images,
    models,
    responses,
    status,
    videos,
)
from nextgpt.serve.errors import ErrorResponse

__all__ = ["add_routes"]

BEARER = HTTPBearer(auto_error=False, description="API key, if the server was started with --api-key.")
"""Declares the security scheme in the OpenAPI document; :mod:`~nextgpt.serve.middleware.auth` checks the keys."""


def add_routes(app: FastAPI) -> None:
    """Add all routes; every one documents the error envelope."""
    errors: dict[int | str, dict[str, Any]] = {"4XX": {"model": ErrorResponse}, "5XX": {"model": ErrorResponse}}
    for module in (chat, responses, completions, images, audio, videos, embeddings, files, models, status):
        app.include_router(module.router, responses=dict(errors), dependencies=[Security(BEARER)])
    app.include_router(status.public_router, responses=dict(errors))
    app.include_router(docs.router)
