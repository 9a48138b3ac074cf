"""``POST /v1/completions``: text for text, at once or as a stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from fastapi import APIRouter, Request
from starlette.responses import Response

from nextgpt.message import Conversation, TextDelta
from nextgpt.serve.api.http_responses import event_stream_response, json_response
from nextgpt.serve.engine.base import EngineRequest, RequestHandle, RequestOutput
from nextgpt.serve.errors import error_body, to_api_error
from nextgpt.serve.protocol.chat import check_at_most, to_samplings
from nextgpt.serve.protocol.text_completion import CompletionRequest, TextCompletion, TextCompletionBuilder
from nextgpt.serve.state import get_state
from nextgpt.serve.streaming import DONE, KEEPALIVE, EventStream, cancel_on_disconnect, format_sse, merge_streams

router = APIRouter(tags=["chat"])


@router.post("/v1/completions", response_model=TextCompletion, responses={200: event_stream_response(TextCompletion)})
async def create_completion(request: Request, body: CompletionRequest) -> Response:
    """Answer each prompt with text."""
    state = get_state(request)
    state.check_model(body.model)
    check_at_most("n times the number of prompts", body.n * len(body.prompts), state.settings.max_n)
    engine_requests = [
        EngineRequest(Conversation().with_message(prompt), sampling)
        for prompt in body.prompts
        for sampling in to_samplings(body.to_chat(prompt), state.engine.modalities, state.settings)
    ]
    handles = state.engine.submit(engine_requests)
    builder = TextCompletionBuilder(state.engine.name)
    if body.stream:
        stream = _event_stream(handles, builder, body, keepalive_s=state.settings.keepalive_s)
        return EventStream(stream, handles)
    return await cancel_on_disconnect(request.receive, _json_response(handles, builder))


async def _json_response(handles: Sequence[RequestHandle], builder: TextCompletionBuilder) -> Response:
    try:
        outputs = await asyncio.gather(*(handle.result() for handle in handles))
    finally:
        for handle in handles:
            handle.cancel()
    return json_response(builder.completion(outputs))


async def _event_stream(
    handles: Sequence[RequestHandle], builder: TextCompletionBuilder, body: CompletionRequest, *, keepalive_s: float
) -> AsyncGenerator[bytes]:
    """Yield the chunks of all choices; an error becomes the last event before the end."""
    outputs: list[RequestOutput] = []
    try:
        async with aclosing(merge_streams(handles, keepalive_s=keepalive_s)) as events:
            async for index, event in events:
                if event is None:
                    yield KEEPALIVE
                elif isinstance(event, TextDelta):
                    yield format_sse(builder.chunk(index, event.text), exclude_unset=False)
                elif isinstance(event, RequestOutput):
                    outputs.append(event)
                    yield format_sse(builder.chunk(index, "", event.finish_reason), exclude_unset=False)
        if body.stream_options.include_usage:
            yield format_sse(builder.usage_chunk(outputs), exclude_unset=False)
    except Exception as error:
        yield format_sse(error_body(to_api_error(error)))
    yield DONE
