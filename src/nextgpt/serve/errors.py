"""What can go wrong with a request, in the envelope that OpenAI's clients understand. No traceback leaves the server.

ApiError                      ``{"error": {"message", "type", "param", "code"}}`` with a status
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from nextgpt.errors import NextGPTError
from nextgpt.serve.engine.base import Busy, EngineFailure

logger = logging.getLogger("nextgpt.serve")

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "invalid_request_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    421: "invalid_request_error",
    429: "rate_limit_error",
    409: "invalid_request_error",
    501: "not_implemented_error",
    503: "service_unavailable_error",
}


class ApiError(HTTPException):
    """A request that cannot be served, with the status that says why."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        headers = None if retry_after_s is None else {"Retry-After": str(retry_after_s)}
        super().__init__(status, message, headers)
        self.param = param
        self.code = code


def envelope(
    status: int, message: str, *, param: str | None = None, code: str | None = None
) -> dict[str, Any]:
    """An error as OpenAI writes it."""
    kind = TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def as_api_error(error: Exception) -> ApiError:
    """Any error as one that may be told; what is a fault of this program is logged, and told without its text."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, Busy):
        return ApiError(429, str(error), code="queue_full", retry_after_s=error.retry_after_s)
    if isinstance(error, NextGPTError):
        return ApiError(400, str(error))
    if isinstance(error, EngineFailure):
        return ApiError(503, str(error), code="engine_unavailable", retry_after_s=5)
    logger.error("request failed", exc_info=error)
    return ApiError(
        500, "The server failed at this request; expected nothing of the kind. Try again, or report it."
    )


def install_handlers(app: FastAPI) -> None:
    """Answer every error of ``app`` in the envelope."""
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    for kind in (NextGPTError, Busy, EngineFailure, Exception):
        app.add_exception_handler(kind, _other)


async def _other(request: Request, error: Exception) -> JSONResponse:
    return response(as_api_error(error))


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return response(error)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    message, param = describe(error.errors())
    return response(ApiError(400, message, param=param))


def response(error: HTTPException) -> JSONResponse:
    """An error as an answer."""
    content = envelope(
        error.status_code,
        str(error.detail),
        param=getattr(error, "param", None),
        code=getattr(error, "code", None),
    )
    return JSONResponse(content, error.status_code, headers=dict(error.headers or {}))


def describe(problems: Sequence[Any]) -> tuple[str, str | None]:
    """What pydantic found, without repeating what came: it may be large, or secret."""
    first = problems[0]
    where = ".".join(str(step) for step in first["loc"] if step != "body")[:200]
    more = f" ({len(problems) - 1} more)" if len(problems) > 1 else ""
    message = str(first["msg"])[:300]
    return (
        f"{where or 'The request'}: {message}.{more} Correct the request; /docs lists its fields.",
        where or None,
    )
