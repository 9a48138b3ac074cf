"""Errors as OpenAI's clients expect them. Tracebacks and internal messages are not sent.

ApiError      ``{"error": {"message", "type", "param", "code"}}`` with an HTTP status
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from nextgpt.errors import NextGPTError
from nextgpt.serve.engine.base import EngineError, QueueFullError
from nextgpt.serve.request_id import REQUEST_ID

logger = logging.getLogger("nextgpt.serve")

ERROR_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    503: "service_unavailable_error",
}
"""OpenAI's error types by status; other 4xx are ``invalid_request_error``, other 5xx ``server_error``."""


_FIELD_NAME = re.compile(r"[a-z][a-z0-9_]*")
_PART_TYPES = {
    *("text", "image_url", "audio_url", "video_url", "input_audio", "file"),
    *("input_text", "input_image", "input_file", "output_text"),
}
"""Types of content parts, which pydantic's locations name after the index of a part."""


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
    logger.error("request %s failed", REQUEST_ID.get(), exc_info=error)
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
    """Return a message and the field of pydantic's first error; input values are left out, as they may be secret.

    For a union, the branch with the deepest error is reported: for a list of parts with one invalid part, that part.
    """
    location, reason, num_siblings = _most_specific(list(problems), 0)
    field = _field(location)[:200]
    num_others = len(problems) - num_siblings
    more = f" ({num_others} more)" if num_others else ""
    message = f"{field or 'The request'}: {reason[:300]}.{more} Correct the request; /docs lists its fields."
    return message, field or None


def _most_specific(problems: list[Any], start: int) -> tuple[Sequence[Any], str, int]:
    """Return location and message of the first problem, and the number of problems with the same union.

    Args:
        start: Steps of the locations that were resolved already.
    """
    first = problems[0]["loc"]
    label = next((index for index in range(start, len(first)) if _is_branch(first[index])), None)
    if label is None:
        return first, str(problems[0]["msg"]), 1
    siblings = [problem for problem in problems if problem["loc"][:label] == first[:label]]
    deeper = [problem for problem in siblings if len(problem["loc"]) > label + 1]
    if deeper:
        location, reason, _ = _most_specific(deeper, label + 1)
        return location, reason, len(siblings)
    reasons = dict.fromkeys(str(problem["msg"]) for problem in siblings)
    head, *others = reasons
    reason = " or ".join([head, *(other.removeprefix("Input should be ") for other in others)])
    return first[:label], reason, len(siblings)


def _is_branch(step: Any) -> bool:
    """Return whether a step of pydantic's location names a branch of a union; fields are lower case."""
    return isinstance(step, str) and (step in ("str", "int", "float", "bool") or not _FIELD_NAME.fullmatch(step))


def _field(location: Sequence[Any]) -> str:
    """Return the field at a location, as ``messages.0.content.1.image_url``, without branches and tags of unions."""
    steps = [step for step in location if step != "body" and not _is_branch(step)]
    is_tag = [
        step in _PART_TYPES and isinstance(before, int) for before, step in zip(["", *steps], steps, strict=False)
    ]
    return ".".join(str(step) for step, tag in zip(steps, is_tag, strict=True) if not tag)
