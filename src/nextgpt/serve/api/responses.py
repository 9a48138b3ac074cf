"""``/v1/responses``: OpenAI's Responses API, at once, as a stream, or in the background."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import Response

from nextgpt.message import Conversation, DenoisingProgress, MediumFinished, Message, TextDelta
from nextgpt.serve.api.http_responses import event_stream_response, json_response
from nextgpt.serve.engine.base import EngineEvent, EngineRequest, RequestHandle, RequestOutput
from nextgpt.serve.errors import ApiError
from nextgpt.serve.protocol.chat import resolve_via, to_samplings
from nextgpt.serve.protocol.media_store import MediaStore
from nextgpt.serve.protocol.responses import DeletedResponse, ResponseBuilder, ResponseEvent, ResponseResource
from nextgpt.serve.protocol.responses_request import (
    GeneratedMediumItem,
    InputItem,
    ItemReference,
    MessageItem,
    ResponseRequest,
    input_items,
)
from nextgpt.serve.response_store import ResponseCancelledError, StoredResponse
from nextgpt.serve.state import AppState, get_state, request_owner
from nextgpt.serve.streaming import KEEPALIVE, EventStream, cancel_on_disconnect, format_sse, merge_streams

router = APIRouter(tags=["responses"])


@dataclass(frozen=True)
class ResponseRun:
    """A response that is being generated."""

    builder: ResponseBuilder
    handle: RequestHandle
    media: MediaStore
    stored: StoredResponse | None
    keepalive_s: float

    async def events(self, *, raises: bool) -> AsyncGenerator[ResponseEvent | None]:
        """Yield all events; ``None`` after silence.

        Args:
            raises: Raise errors instead of ending the response with one.
        """
        try:
            for event in self.builder.start():
                yield event
            async with aclosing(merge_streams([self.handle], keepalive_s=self.keepalive_s)) as engine_events:
                async for _, engine_event in engine_events:
                    if engine_event is None:
                        yield None
                        continue
                    for event in await self._convert(engine_event):
                        yield event
        except ResponseCancelledError:
            for event in self.builder.cancel():
                yield event
        except Exception as error:
            for event in self.builder.fail(error):
                yield event
            if raises:
                raise
        finally:
            self.builder.abandon()

    async def complete(self, *, raises: bool = False) -> ResponseResource:
        """Generate the whole response. Raises errors of the request if ``raises`` is set."""
        async with aclosing(self.events(raises=raises)) as events:
            async for _ in events:
                pass
        return self.builder.resource

    async def _convert(self, event: EngineEvent) -> Iterator[ResponseEvent]:
        if isinstance(event, TextDelta):
            return self.builder.add_text(event.text)
        if isinstance(event, DenoisingProgress):
            return self.builder.add_progress(event)
        if isinstance(event, MediumFinished):
            file_id = self.builder.file_id(event.medium.modality)
            medium = await self.media.store(event.medium, file_id, attribution=event.attribution)
            return self.builder.add_medium(medium)
        assert isinstance(event, RequestOutput), "engines end with RequestOutput"
        if self.stored is not None:
            self.stored.complete(event.reply.message)
        return self.builder.finish(event)


@router.post("/v1/responses", response_model=ResponseResource, responses={200: event_stream_response(ResponseEvent)})
async def create_response(request: Request, body: ResponseRequest) -> Response:
    """Answer a conversation."""
    state = get_state(request)
    state.check_model(body.model)
    if body.background and not body.store:
        raise ApiError(400, "background is true; expected store to be true as well.", param="background")
    run = await _start(state, request, body)
    if body.stream:
        return EventStream(_event_stream(run), [run.handle])
    if body.background and run.stored is not None:
        run.stored.task = asyncio.create_task(run.complete())
        return json_response(run.builder.resource)
    resource = await cancel_on_disconnect(request.receive, run.complete(raises=True))
    return resource if isinstance(resource, Response) else json_response(resource)


@router.get("/v1/responses/{response_id}")
async def get_response(request: Request, response_id: str) -> ResponseResource:
    """Return a stored response, complete or as far as it is generated."""
    return get_state(request).responses.get(response_id, request_owner(request)).resource


@router.post("/v1/responses/{response_id}/cancel")
async def cancel_response(request: Request, response_id: str) -> ResponseResource:
    """Stop a response that is running in the background or streamed; a complete one stays as it is."""
    stored = get_state(request).responses.get(response_id, request_owner(request))
    if stored.is_running:
        stored.cancel()
        if stored.task is not None:
            await asyncio.wait([stored.task])
        stored.resource.status = "cancelled"
    return stored.resource


@router.delete("/v1/responses/{response_id}")
async def delete_response(request: Request, response_id: str) -> DeletedResponse:
    """Remove a response; stop it if it is running."""
    get_state(request).responses.delete(response_id, request_owner(request))
    return DeletedResponse(id=response_id)


async def _start(state: AppState, request: Request, body: ResponseRequest) -> ResponseRun:
    """Submit the request to the engine, and keep the response unless ``store`` is false."""
    owner = request_owner(request)
    items = [_resolve(item, state, owner) for item in input_items(body.input)]
    chat = body.to_chat(items)
    (sampling,) = to_samplings(chat, state.engine.modalities, state.settings, format_field="text.format")
    via = resolve_via(body.nextgpt.via, state.engine.vias, state.settings)
    previous = Conversation()
    if body.previous_response_id is not None:
        previous = state.responses.conversation(body.previous_response_id, owner)
    parser = state.request_parser(request)
    conversation = await parser.conversation(chat.messages, after=previous, param="input")
    system = (Message.create("system", body.instructions),) if body.instructions else ()
    prompt = Conversation((*system, *conversation))
    has_previews = body.stream and body.num_previews > 0
    (handle,) = state.engine.submit([EngineRequest(prompt, sampling, has_previews, via, tuple(parser.warnings))])
    builder = ResponseBuilder(body, state.engine.name)
    stored = None
    if body.store:
        num_new = len(conversation) - len(previous)
        stored = state.responses.put(owner, builder.resource, conversation, handle, num_new)
    return ResponseRun(builder, handle, state.media_store(request), stored, state.settings.keepalive_s)


def _resolve(item: InputItem, state: AppState, owner: str) -> InputItem:
    """Replace a reference by the output item that it names."""
    if not isinstance(item, ItemReference):
        return item
    output = state.responses.output_item(item.id, owner)
    values = output.model_dump()
    if output.type == "message":
        return MessageItem.model_validate(values)
    return GeneratedMediumItem.model_validate(values)


async def _event_stream(run: ResponseRun) -> AsyncGenerator[bytes]:
    async with aclosing(run.events(raises=False)) as events:
        async for event in events:
            yield KEEPALIVE if event is None else format_sse(event, event=event.type, exclude_unset=False)
