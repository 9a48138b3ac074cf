"""Answers of ``/v1/responses`` and the events of their streams: OpenAI's, and items for audio and video."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal

from pydantic import BaseModel, Field, model_serializer

from nextgpt.message import DenoisingProgress
from nextgpt.serve.engine.base import RequestOutput
from nextgpt.serve.errors import to_api_error
from nextgpt.serve.file_store import PREFIX
from nextgpt.serve.protocol.chat_completion import (
    AnswerInfo,
    AttributionInfo,
    answer_info,
    attribution_field,
    is_preview_due,
    preview_png,
)
from nextgpt.serve.protocol.media_store import StoredMedium
from nextgpt.serve.protocol.responses_request import ITEM_PREFIXES, ImageGenerationTool, ResponseRequest, TextOptions

Status = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
TERMINAL_EVENTS: dict[str, str] = {"cancelled": "response.incomplete"}
"""Event that ends a stream by status, where it is not named after the status; OpenAI has none for ``cancelled``."""
ERROR_CODES = {400: "invalid_prompt", 429: "rate_limit_exceeded"}
"""OpenAI's codes of failed responses by HTTP status; all others are ``server_error``."""


class OutputText(BaseModel):
    """Text of a message."""

    type: Literal["output_text"] = "output_text"
    text: str
    annotations: list[str] = []
    logprobs: list[float] = []


class OutputMessage(BaseModel):
    """Output item: text."""

    type: Literal["message"] = "message"
    id: str
    role: Literal["assistant"] = "assistant"
    status: Literal["in_progress", "completed", "incomplete"]
    content: list[OutputText]


class ImageGenerationCall(BaseModel):
    """Output item: an image."""

    type: Literal["image_generation_call"] = "image_generation_call"
    id: str
    status: Literal["in_progress", "completed", "failed"]
    result: str | None
    """Base64 of the file."""
    output_format: Literal["png"] = "png"
    attribution: AttributionInfo | None = None
    """Origin, if the image was retrieved instead of generated."""


class MediumGenerationCall(BaseModel):
    """Output item: audio or video. OpenAI defines none; clients skip items of unknown types."""

    type: Literal["audio_generation_call", "video_generation_call"]
    id: str
    status: Literal["completed"] = "completed"
    result: str
    """Base64 of the file."""
    media_type: str
    """MIME type of the file."""
    attribution: AttributionInfo | None = None
    """Origin, if the medium was retrieved instead of generated."""


OutputItem = OutputMessage | ImageGenerationCall | MediumGenerationCall


class InputTokenDetails(BaseModel):
    """Kinds of input tokens; cached ones are not counted apart."""

    cached_tokens: int = 0
    cache_write_tokens: int = 0


class OutputTokenDetails(BaseModel):
    """Kinds of output tokens."""

    reasoning_tokens: int = 0


class ResponseUsage(BaseModel):
    """Token counts."""

    input_tokens: int
    input_tokens_details: InputTokenDetails = Field(default_factory=InputTokenDetails)
    output_tokens: int
    output_tokens_details: OutputTokenDetails = Field(default_factory=OutputTokenDetails)
    total_tokens: int


class ResponseFailure(BaseModel):
    """Reason of a failed response."""

    code: str
    message: str


class IncompleteDetails(BaseModel):
    """Reason of an incomplete response."""

    reason: Literal["max_output_tokens"] = "max_output_tokens"


class ResponseResource(BaseModel):
    """OpenAI's response object."""

    id: str
    object: Literal["response"] = "response"
    created_at: int
    completed_at: int | None = None
    status: Status
    background: bool
    error: ResponseFailure | None = None
    incomplete_details: IncompleteDetails | None = None
    instructions: str | None
    max_output_tokens: int | None
    metadata: dict[str, str]
    model: str
    output: list[OutputItem]
    parallel_tool_calls: Literal[False] = False
    previous_response_id: str | None
    store: bool
    temperature: float
    text: TextOptions
    tool_choice: Literal["auto"] = "auto"
    tools: list[ImageGenerationTool]
    top_p: float
    truncation: Literal["auto"] = "auto"
    usage: ResponseUsage | None = None
    nextgpt: AnswerInfo | None = None


class DeletedResponse(BaseModel):
    """Confirmation."""

    id: str
    object: Literal["response"] = "response"
    deleted: Literal[True] = True


class ResponseEvent(BaseModel):
    """Event of a stream; which fields it has depends on its type, as in OpenAI's API."""

    type: str
    sequence_number: int
    response: ResponseResource | None = None
    output_index: int | None = None
    item_id: str | None = None
    item: OutputItem | None = None
    content_index: int | None = None
    part: OutputText | None = None
    delta: str | None = None
    text: str | None = None
    logprobs: list[float] | None = None
    partial_image_b64: str | None = None
    partial_image_index: int | None = None
    output_format: Literal["png"] | None = None

    @model_serializer(mode="wrap")
    def _drop_absent(self, serialize: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        return {name: value for name, value in serialize(self).items() if value is not None}


class ResponseBuilder:
    """Builds one response, event by event.

    Items stand in output order. An image whose previews are sent takes its place with the first one.
    """

    def __init__(self, request: ResponseRequest, model: str) -> None:
        self._num_previews = request.num_previews
        self._has_details = request.nextgpt.details
        self._num_events = 0
        self._message: OutputMessage | None = None
        """The message that is still growing."""
        self._image: ImageGenerationCall | None = None
        """The image whose previews are sent."""
        self._previews_sent = 0
        self.resource = ResponseResource(
            id=_new_id("resp_"),
            created_at=int(time.time()),
            status="queued" if request.background else "in_progress",
            model=model,
            output=[],
            **{name: getattr(request, name) for name in ("background", "instructions", "metadata", "store")},
            **{name: getattr(request, name) for name in ("temperature", "text", "tools", "top_p")},
            max_output_tokens=request.max_output_tokens,
            previous_response_id=request.previous_response_id,
        )

    def file_id(self, modality: str) -> str | None:
        """Return the file id for the next medium of a modality if its item's id is already known to clients."""
        if modality != "image" or self._image is None:
            return None
        return PREFIX + self._image.id.removeprefix(ITEM_PREFIXES["image"])

    def start(self) -> Iterator[ResponseEvent]:
        """Yield the events at the beginning."""
        yield self._event("response.created", response=self._snapshot())
        self.resource.status = "in_progress"
        yield self._event("response.in_progress", response=self._snapshot())

    def add_text(self, text: str) -> Iterator[ResponseEvent]:
        """Append text to the current message, or to a new one after a medium."""
        message = self._message
        if message is None:
            message = self._message = OutputMessage(id=_new_id("msg_"), status="in_progress", content=[])
            yield from self._add_item(message)
            message.content.append(OutputText(text=""))
            yield self._text_event("response.content_part.added", part=OutputText(text=""))
        message.content[0].text += text
        yield self._text_event("response.output_text.delta", delta=text, logprobs=[])

    def add_progress(self, event: DenoisingProgress) -> Iterator[ResponseEvent]:
        """Yield the preview of an image if one is due."""
        is_due = is_preview_due(event, self._previews_sent, self._num_previews)
        if event.modality != "image" or not is_due or (preview := preview_png(event)) is None:
            return
        if self._image is None:
            yield from self._end_message("completed")
            yield from self._open_image(_new_id(ITEM_PREFIXES["image"]))
        yield self._image_event(
            "partial_image", partial_image_b64=preview, partial_image_index=self._previews_sent, output_format="png"
        )
        self._previews_sent += 1

    def add_medium(self, medium: StoredMedium) -> Iterator[ResponseEvent]:
        """Add a finished medium."""
        yield from self._end_message("completed")
        if medium.modality != "image":
            item = _medium_item(medium)
            yield from self._add_item(item)
            yield self._event("response.output_item.done", output_index=len(self.resource.output) - 1, item=item)
            return
        if self._image is None:
            yield from self._open_image(_item_id(medium))
        assert self._image is not None, "opened above or by a preview"
        self._image.status, self._image.result = "completed", medium.base64
        self._image.attribution = attribution_field(medium).get("attribution")
        yield self._image_event("completed")
        index = self.resource.output.index(self._image)
        yield self._event("response.output_item.done", output_index=index, item=self._image)
        self._image, self._previews_sent = None, 0

    def finish(self, output: RequestOutput) -> Iterator[ResponseEvent]:
        """End the response with the facts about the whole answer."""
        is_cut = output.finish_reason == "length"
        self.resource.usage = ResponseUsage(
            input_tokens=output.prompt_tokens,
            output_tokens=output.completion_tokens,
            total_tokens=output.prompt_tokens + output.completion_tokens,
        )
        self.resource.nextgpt = answer_info([output], has_details=self._has_details)
        self.resource.incomplete_details = IncompleteDetails() if is_cut else None
        yield from self._end("incomplete" if is_cut else "completed")

    def fail(self, error: Exception) -> Iterator[ResponseEvent]:
        """End the response with an error."""
        failure = to_api_error(error)
        code = ERROR_CODES.get(failure.status_code, "server_error")
        self.resource.error = ResponseFailure(code=code, message=str(failure.detail))
        yield from self._end("failed")

    def cancel(self) -> Iterator[ResponseEvent]:
        """End the response because its client cancelled it."""
        yield from self._end("cancelled")

    def abandon(self) -> None:
        """Mark a response whose client disconnected as cancelled; one that has ended stays as it is."""
        if self.resource.status in ("queued", "in_progress"):
            self.resource.status = "cancelled"

    def _end(self, status: Status) -> Iterator[ResponseEvent]:
        yield from self._end_message("completed" if status == "completed" else "incomplete")
        if self._image is not None:
            self._image.status = "failed"
        self.resource.status, self.resource.completed_at = status, int(time.time())
        yield self._event(TERMINAL_EVENTS.get(status, f"response.{status}"), response=self._snapshot())

    def _add_item(self, item: OutputItem) -> Iterator[ResponseEvent]:
        self.resource.output.append(item)
        index = len(self.resource.output) - 1
        yield self._event("response.output_item.added", output_index=index, item=item)

    def _open_image(self, item_id: str) -> Iterator[ResponseEvent]:
        self._image = ImageGenerationCall(id=item_id, status="in_progress", result=None)
        yield from self._add_item(self._image)
        yield self._image_event("in_progress")
        yield self._image_event("generating")

    def _end_message(self, status: Literal["completed", "incomplete"]) -> Iterator[ResponseEvent]:
        if (message := self._message) is None:
            return
        (part,) = message.content
        message.status = status
        yield self._text_event("response.output_text.done", text=part.text, logprobs=[])
        yield self._text_event("response.content_part.done", part=part)
        index = self.resource.output.index(message)
        yield self._event("response.output_item.done", output_index=index, item=message)
        self._message = None

    def _text_event(self, kind: str, **fields: Any) -> ResponseEvent:
        assert self._message is not None, "text events belong to the current message"
        index = self.resource.output.index(self._message)
        return self._event(kind, output_index=index, item_id=self._message.id, content_index=0, **fields)

    def _image_event(self, kind: str, **fields: Any) -> ResponseEvent:
        assert self._image is not None, "image events belong to the current image"
        index = self.resource.output.index(self._image)
        name = f"response.image_generation_call.{kind}"
        return self._event(name, output_index=index, item_id=self._image.id, **fields)

    def _event(self, kind: str, **fields: Any) -> ResponseEvent:
        self._num_events += 1
        return ResponseEvent(type=kind, sequence_number=self._num_events - 1, **fields)

    def _snapshot(self) -> ResponseResource:
        return self.resource.model_copy(update={"output": list(self.resource.output)})


def _medium_item(medium: StoredMedium) -> MediumGenerationCall:
    kind: Any = f"{medium.modality}_generation_call"
    return MediumGenerationCall(
        type=kind,
        id=_item_id(medium),
        result=medium.base64,
        media_type=medium.file.media_type,
        **attribution_field(medium),
    )


def _item_id(medium: StoredMedium) -> str:
    return ITEM_PREFIXES[medium.modality] + medium.file.id.removeprefix(PREFIX)


def _new_id(prefix: str) -> str:
    return prefix + secrets.token_hex(16)
