"""``POST /v1/chat/completions``: any mix of modalities in, any mix out, at once or as a stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from fastapi import APIRouter, Request
from starlette.responses import Response

from nextgpt.message import DenoisingProgress, MediumFinished, Text, TextDelta, TextJoiner
from nextgpt.serve.api.http_responses import event_stream_response, json_response
from nextgpt.serve.engine.base import EngineEvent, EngineRequest, RequestHandle, RequestOutput
from nextgpt.serve.errors import error_body, to_api_error
from nextgpt.serve.protocol.chat import ChatRequest, resolve_via, to_samplings
from nextgpt.serve.protocol.chat_completion import (
    ChatCompletion,
    ChatCompletionChunk,
    ChunkInfo,
    CompletionBuilder,
    Delta,
    build_message,
    end_info,
    media_delta,
    progress_info,
)
from nextgpt.serve.protocol.media_store import MediaStore
from nextgpt.serve.state import AppState, get_state
from nextgpt.serve.streaming import DONE, KEEPALIVE, EventStream, cancel_on_disconnect, format_sse, merge_streams

router = APIRouter(tags=["chat"])


@router.post(
    "/v1/chat/completions", response_model=ChatCompletion, responses={200: event_stream_response(ChatCompletionChunk)}
)
async def create_chat_completion(request: Request, body: ChatRequest) -> Response:
    """Answer a conversation."""
    state = get_state(request)
    state.check_model(body.model)
    samplings = to_samplings(body, state.engine.modalities, state.settings)
    via = resolve_via(body.nextgpt.via, state.engine.vias, state.settings)
    parser = state.request_parser(request)
    conversation = await parser.conversation(body.messages)
    warnings = tuple(parser.warnings)
    store = state.media_store(request, audio_suffix=f".{body.audio.format}")
    has_previews = body.stream and body.nextgpt.previews
    handles = state.engine.submit(
        [EngineRequest(conversation, item, has_previews, via, warnings) for item in samplings]
    )
    if body.stream:
        return EventStream(_event_stream(state, handles, store, body), handles)
    return await cancel_on_disconnect(request.receive, _json_response(state, handles, store, body))


@dataclass
class ChoiceDeltas:
    """Converts the events of one choice to deltas."""

    store: MediaStore
    body: ChatRequest
    joiner: TextJoiner = field(default_factory=TextJoiner)
    has_audio: bool = False

    async def convert(self, event: EngineEvent) -> tuple[Delta, ChunkInfo | None]:
        """Return what one event adds to the answer, and this project's facts about it."""
        if isinstance(event, TextDelta):
            return Delta(content=self.joiner.add_text(event.text)), None
        if isinstance(event, DenoisingProgress):
            return Delta(), await asyncio.to_thread(progress_info, event)
        if isinstance(event, MediumFinished):
            self.joiner.add_medium()
            medium = await self.store.store(event.medium, attribution=event.attribution)
            is_inline = self.body.nextgpt.media == "b64"
            delta = media_delta(medium, is_inline=is_inline, is_first_audio=not self.has_audio)
            self.has_audio |= delta.audio is not None
            return delta, None
        assert isinstance(event, RequestOutput), "engines end with RequestOutput"
        return Delta(), end_info(event, has_details=self.body.nextgpt.details)


async def _json_response(
    state: AppState, handles: Sequence[RequestHandle], store: MediaStore, body: ChatRequest
) -> Response:
    try:
        outputs = await asyncio.gather(*(handle.result() for handle in handles))
    finally:
        for handle in handles:
            handle.cancel()
    messages = []
    for output in outputs:
        attributions = output.reply.attributions
        parts = [
            part if isinstance(part, Text) else await store.store(part, attribution=attributions.get(index))
            for index, part in enumerate(output.reply.parts)
        ]
        messages.append(build_message(parts, body.nextgpt))
    builder = CompletionBuilder(state.engine.name)
    return json_response(builder.completion(messages, outputs, has_details=body.nextgpt.details))


async def _event_stream(
    state: AppState, handles: Sequence[RequestHandle], store: MediaStore, body: ChatRequest
) -> AsyncGenerator[bytes]:
    """Yield the chunks of all choices; an error becomes the last event before the end."""
    builder = CompletionBuilder(state.engine.name)
    outputs: list[RequestOutput] = []
    choices = [ChoiceDeltas(store, body) for _ in handles]
    try:
        for index in range(len(handles)):
            yield format_sse(builder.chunk(index, Delta(role="assistant", content="")))
        async with aclosing(merge_streams(handles, keepalive_s=state.settings.keepalive_s)) as events:
            async for index, event in events:
                if event is None:
                    yield KEEPALIVE
                    continue
                if isinstance(event, RequestOutput):
                    outputs.append(event)
                delta, info = await choices[index].convert(event)
                reason = event.finish_reason if isinstance(event, RequestOutput) else None
                yield format_sse(builder.chunk(index, delta, finish_reason=reason, info=info))
        if body.stream_options.include_usage:
            yield format_sse(builder.usage_chunk(outputs))
    except Exception as error:
        yield format_sse(error_body(to_api_error(error)))
    yield DONE
