"""Errors as OpenAI's clients expect them. No traceback and no internal text leaves the server.

ApiError      ``{"error": {"message", "type", "param", "code"}}`` with an HTTP status
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from nextgpt.errors import NextGPTError
from nextgpt.serve.engine.base import EngineError, QueueFullError

logger = logging.getLogger("nextgpt.serve")

ERROR_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    503: "service_unavailable_error",
}
"""OpenAI's error types by status; other 4xx are ``invalid_request_error``, other 5xx ``server_error``."""


class ApiError(HTTPException):
    """A request that cannot be served."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        retry = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
        super().__init__(status, message, {**(headers or {}), **retry} or None)
        self.param = param
        self.code = code


class ErrorDetail(BaseModel):
    """Description of an error."""

    message: str
    type: str
    param: str | None = None
    """Field of the request that caused it."""
    code: str | None = None


class ErrorResponse(BaseModel):
    """OpenAI's error envelope."""

    error: ErrorDetail


def error_body(error: HTTPException) -> ErrorResponse:
    """Wrap an error in OpenAI's envelope."""
    status = error.status_code
    kind = ERROR_TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    param, code = getattr(error, "param", None), getattr(error, "code", None)
    return ErrorResponse(error=ErrorDetail(message=str(error.detail), type=kind, param=param, code=code))


def error_response(error: Exception) -> JSONResponse:
    """Convert any error to a response."""
    http = error if isinstance(error, HTTPException) else to_api_error(error)
    return JSONResponse(error_body(http).model_dump(), http.status_code, headers=dict(http.headers or {}))


def to_api_error(error: Exception) -> ApiError:
    """Convert any error to one that clients may see; log internal errors and hide their text."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, QueueFullError):
        return ApiError(429, str(error), code="queue_full", retry_after_s=error.retry_after_s)
    if isinstance(error, NextGPTError):
        return ApiError(400, str(error))
    if isinstance(error, EngineError):
        return ApiError(503, str(error), code="engine_unavailable", retry_after_s=5)
    logger.error("request failed", exc_info=error)
    return ApiError(500, "The server failed on this request. Try again; if it fails again, report it.")


def register_error_handlers(app: FastAPI) -> None:
    """Answer every error of ``app`` in the envelope."""
    app.add_exception_handler(RequestValidationError, _handle_invalid_request)
    for kind in (HTTPException, NextGPTError, QueueFullError, EngineError):
        app.add_exception_handler(kind, _handle_error)


async def _handle_error(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, HTTPException) and error.status_code == 404 and not isinstance(error, ApiError):
        message = "There is no such route; /docs lists all. Conversations go to /v1/chat/completions."
        error = ApiError(404, message, code="unknown_route")
    return error_response(error)


async def _handle_invalid_request(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    message, param = summarize_validation_errors(error.errors())
    return error_response(ApiError(400, message, param=param))


def summarize_validation_errors(problems: Sequence[Any]) -> tuple[str, str | None]:
    """Return a message and the field of pydantic's first error; input values are left out, as they may be secret."""
    first = problems[0]
    field = ".".join(str(step) for step in first["loc"] if step != "body")[:200]
    more = f" ({len(problems) - 1} more)" if len(problems) > 1 else ""
    message = f"{field or 'The request'}: {str(first['msg'])[:300]}.{more} Correct the request; /docs lists its fields."
    return message, field or None
