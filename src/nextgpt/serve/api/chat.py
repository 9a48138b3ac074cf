"""``POST /v1/chat/completions``: any mix of modalities in, any mix out, at once or as a stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from nextgpt.message import DenoisingProgress, MediumFinished, Text, TextDelta
from nextgpt.serve.engine.base import EngineRequest, RequestHandle, RequestOutput
from nextgpt.serve.errors import error_body, to_api_error
from nextgpt.serve.protocol import answer
from nextgpt.serve.protocol.chat import ChatRequest, samplings
from nextgpt.serve.protocol.responses import Completion, MediaStore
from nextgpt.serve.state import AppState, get_state
from nextgpt.serve.streaming import DONE, EventStream, cancel_on_disconnect, data, merge_streams

router = APIRouter(tags=["chat"])


@router.post("/v1/chat/completions", response_model=None)
async def complete(request: Request, body: ChatRequest) -> Response:
    """Answer a conversation."""
    at = get_state(request)
    at.check_model(body.model)
    wanted = samplings(body, at.engine.modalities, at.settings)
    conversation = await at.request_parser(request).conversation(body.messages)
    publisher = at.media_store(request, audio_suffix=f".{body.audio.format}")
    has_previews = body.stream and body.nextgpt.previews
    tickets = at.submit(*(EngineRequest(conversation, sampling, has_previews) for sampling in wanted))
    if body.stream:
        pieces = _stream(at, tickets, publisher, body)
        return EventStream(pieces, keepalive_s=at.settings.keepalive_s)
    return await cancel_on_disconnect(request.receive, _whole(at, tickets, publisher, body))


async def _whole(
    at: AppState, tickets: Sequence[RequestHandle], publisher: MediaStore, body: ChatRequest
) -> Response:
    try:
        answers = await asyncio.gather(*(ticket.result() for ticket in tickets))
    finally:
        for ticket in tickets:
            ticket.cancel()
    choices = [
        {
            "index": index,
            "message": await _message(answered, publisher, body),
            "finish_reason": answered.finish_reason,
            "logprobs": None,
        }
        for index, answered in enumerate(answers)
    ]
    completion = Completion(at.engine.name).whole(choices, answers, has_details=body.nextgpt.details)
    return JSONResponse(completion)


async def _message(answered: RequestOutput, publisher: MediaStore, body: ChatRequest) -> dict[str, Any]:
    parts = [
        part if isinstance(part, Text) else await publisher.publish(part) for part in answered.reply.parts
    ]
    return answer.message(parts, is_inline=body.nextgpt.media == "b64")


async def _stream(
    at: AppState, tickets: Sequence[RequestHandle], publisher: MediaStore, body: ChatRequest
) -> AsyncIterator[bytes]:
    """Chunks of all choices; what goes wrong on the way is the last event before the end."""
    frame = Completion(at.engine.name)
    answers: list[RequestOutput] = []
    sounding: set[int] = set()
    try:
        for index in range(len(tickets)):
            yield data(frame.chunk(index, {"role": "assistant", "content": ""}))
        async with aclosing(merge_streams(tickets)) as events:
            async for index, event in events:
                if isinstance(event, TextDelta):
                    yield data(frame.chunk(index, {"content": event.text}))
                elif isinstance(event, DenoisingProgress):
                    about = await asyncio.to_thread(answer.progress, event)
                    yield data(frame.chunk(index, {}, about=about))
                elif isinstance(event, RequestOutput):
                    answers.append(event)
                    about = answer.answer_info(event, has_details=body.nextgpt.details)
                    yield data(frame.chunk(index, {}, finish_reason=event.finish_reason, about=about))
                elif isinstance(event, MediumFinished):
                    made = await publisher.publish(event.medium)
                    is_first_sound = made.modality == "audio" and index not in sounding
                    sounding |= {index} if is_first_sound else set()
                    told = answer.delta(
                        made, is_inline=body.nextgpt.media == "b64", is_first_sound=is_first_sound
                    )
                    yield data(frame.chunk(index, told))
        if body.stream_options.include_usage:
            yield data(frame.last(answers))
    except Exception as error:
        told_error = to_api_error(error)
        yield data(error_body(told_error.status_code, str(told_error.detail), code=told_error.code))
    finally:
        for ticket in tickets:
            ticket.cancel()
    yield DONE
