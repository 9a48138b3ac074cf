"""Routes: one module per family of paths, each with a ``router``."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, Security
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


async def declare_request_id(
    x_request_id: Annotated[
        str | None,
        Header(description="Id of the request: 1 to 64 letters, digits, '.', '_' or '-'. The answer has it too."),
    ] = None,
) -> None:
    """Declare the header in the OpenAPI document; :mod:`~nextgpt.serve.middleware.access_log` reads it.

    openapi-python-client needs an optional parameter in every operation whose body has several media types: otherwise
    it generates a module that cannot be imported.
    """


def add_routes(app: FastAPI) -> None:
    """Add all routes; every one documents the error envelope and the request id."""
    request_id = Depends(declare_request_id)
    errors: dict[int | str, dict[str, Any]] = {"4XX": {"model": ErrorResponse}, "5XX": {"model": ErrorResponse}}
    for module in (chat, responses, completions, images, audio, videos, embeddings, files, models, status):
        app.include_router(module.router, responses=dict(errors), dependencies=[Security(BEARER), request_id])
    app.include_router(status.public_router, responses=dict(errors), dependencies=[request_id])
    app.include_router(docs.router)
