"""``POST /v1/chat/completions``: any mix of modalities in, any mix out, at once or as a stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from nextgpt.message import Progress, Text, TextPiece
from nextgpt.serve.context import Service, service
from nextgpt.serve.engine.base import Answered, Job, Ticket
from nextgpt.serve.errors import as_api_error, envelope
from nextgpt.serve.sse import DONE, EventStream, data, merged, while_connected
from nextgpt.serve.wire import answer
from nextgpt.serve.wire.answer import Completion, Publisher
from nextgpt.serve.wire.chat import ChatRequest, samplings

router = APIRouter(tags=["chat"])


@router.post("/v1/chat/completions", response_model=None)
async def complete(request: Request, body: ChatRequest) -> Response:
    """Answer a conversation."""
    at = service(request)
    at.check_model(body.model)
    wanted = samplings(body, at.engine.modalities, at.settings)
    conversation = await at.reader(request).conversation(body.messages)
    publisher = at.publisher(request, audio_suffix=f".{body.audio.format}")
    has_previews = body.stream and body.nextgpt.previews
    tickets = at.submit(*(Job(conversation, sampling, has_previews) for sampling in wanted))
    if body.stream:
        pieces = _stream(at, tickets, publisher, body)
        return EventStream(pieces, keepalive_s=at.settings.keepalive_s)
    return await while_connected(request.receive, _whole(at, tickets, publisher, body))


async def _whole(at: Service, tickets: Sequence[Ticket], publisher: Publisher, body: ChatRequest) -> Response:
    try:
        answers = await asyncio.gather(*(ticket.answer() for ticket in tickets))
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
    return JSONResponse(Completion(at.engine.name).whole(choices, answers))


async def _message(answered: Answered, publisher: Publisher, body: ChatRequest) -> dict[str, Any]:
    parts = [
        part if isinstance(part, Text) else await publisher.publish(part) for part in answered.reply.parts
    ]
    return answer.message(parts, is_inline=body.nextgpt.media == "b64")


async def _stream(
    at: Service, tickets: Sequence[Ticket], publisher: Publisher, body: ChatRequest
) -> AsyncIterator[bytes]:
    """Chunks of all choices; what goes wrong on the way is the last event before the end."""
    frame = Completion(at.engine.name)
    answers: list[Answered] = []
    sounding: set[int] = set()
    try:
        for index in range(len(tickets)):
            yield data(frame.chunk(index, {"role": "assistant", "content": ""}))
        async with aclosing(merged(tickets)) as events:
            async for index, event in events:
                if isinstance(event, TextPiece):
                    yield data(frame.chunk(index, {"content": event.text}))
                elif isinstance(event, Progress):
                    about = await asyncio.to_thread(answer.progress, event)
                    yield data(frame.chunk(index, {}, about=about))
                elif isinstance(event, Answered):
                    answers.append(event)
                    about = {"seed": event.reply.seed, "dropped": list(event.reply.dropped)}
                    yield data(frame.chunk(index, {}, finish_reason=event.finish_reason, about=about))
                elif not _is_end(event):
                    made = await publisher.publish(event)
                    is_first_sound = made.modality == "audio" and index not in sounding
                    sounding |= {index} if is_first_sound else set()
                    told = answer.delta(
                        made, is_inline=body.nextgpt.media == "b64", is_first_sound=is_first_sound
                    )
                    yield data(frame.chunk(index, told))
        if body.stream_options.include_usage:
            yield data(frame.last(answers))
    except Exception as error:
        told_error = as_api_error(error)
        yield data(envelope(told_error.status_code, str(told_error.detail), code=told_error.code))
    finally:
        for ticket in tickets:
            ticket.cancel()
    yield DONE


def _is_end(event: object) -> bool:
    """The model's own last event, which the engine's :class:`Answered` replaces."""
    from nextgpt.message import Finished

    return isinstance(event, Finished)
