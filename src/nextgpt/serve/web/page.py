"""The page in Gradio: one component of our own whose look and behaviour are files of ``static/``, and its events.

::

    act of a person --event--> Conversation --engine--> events --Live--> view --value--> the component draws it
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any

import gradio as gr

from nextgpt.errors import NextGPTError
from nextgpt.message import Conversation
from nextgpt.serve.engine.base import Busy, EngineFailure
from nextgpt.serve.web.acts import Act, read_act
from nextgpt.serve.web.live import Live
from nextgpt.serve.web.pacing import newest
from nextgpt.serve.web.rooms import Room, Rooms
from nextgpt.serve.web.strings import LANGUAGES, strings_for
from nextgpt.serve.web.talk import Talk
from nextgpt.serve.web.turns import Wishes
from nextgpt.serve.web.view import View, making_view, message_view, turns_view

logger = logging.getLogger("nextgpt.serve")

EXPECTED = (NextGPTError, Busy, EngineFailure)
REFRESH_S = 0.08
"""The page is told of an answer at most so often."""
START = """
import(new URL('page/chat.js', document.baseURI)).then((page) => page.start(element, {
  events: {answer: 'answer', open: 'open', stop: 'stop'}, trigger, props, watch,
}));
"""


HEAD = """
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="page/icon.svg"><link rel="stylesheet" href="page/chat.css">
"""


def theme() -> Any:
    """Fonts of the reader's own machine; nothing is fetched."""
    return gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])


def build_page(talk: Talk, rooms: Rooms) -> gr.Blocks:
    """Lay out the chat."""
    with gr.Blocks(
        title="NExT-GPT", analytics_enabled=False, fill_width=True, delete_cache=(600, 3600)
    ) as page:
        # Names of events stand in quotes in START, by which Gradio lets them be bound.
        chat = gr.HTML(
            None,
            html_template="",
            js_on_load=START,
            apply_default_css=False,
            elem_id="chat",
            languages={code: asdict(strings) for code, strings in LANGUAGES.items()},
            limits=_limits(talk),
        )

        async def answer(event: gr.EventData) -> AsyncIterator[View]:
            async for view in answering(talk, rooms, event._data):
                yield view

        def open_room(event: gr.EventData) -> View:
            asked = _asked(event)
            return room_view(rooms.enter(asked.get("room"))) | {"ask": asked.get("ask")}

        def stop(event: gr.EventData) -> None:
            room = rooms.find(str(_asked(event).get("room")))
            if room is not None:
                room.stop()

        many: dict[str, Any] = {
            "concurrency_limit": None,
            "show_progress": "hidden",
            "trigger_mode": "multiple",
            "api_visibility": "private",
        }
        chat.answer(answer, None, chat, **many)
        chat.open(open_room, None, chat, **many)
        chat.stop(stop, None, None, **many)
    return page


async def answering(talk: Talk, rooms: Rooms, sent: Any) -> AsyncIterator[View]:
    """What the page shows while an act is answered; the last view stays."""
    try:
        act = read_act(sent)
    except EXPECTED as error:
        yield room_view(rooms.enter(None), error=str(error))
        return
    room = rooms.find(act.room)
    if room is None:
        yield room_view(rooms.enter(None), error=strings_for(act.language).expired) | {"moved": act.room}
        return
    try:
        conversation = talk.begin(room, act)
    except EXPECTED as error:
        yield room_view(room, error=str(error))
        return
    if not len(conversation):
        yield room_view(room)
        return
    async for view in _made(talk, room, conversation, act):
        yield view


async def _made(talk: Talk, room: Room, conversation: Conversation, act: Act) -> AsyncIterator[View]:
    words, live, error = strings_for(act.language), Live(), None
    before = turns_view(conversation, room.details)
    yield {"room": room.id, "turns": before, "making": [], "busy": True}
    try:
        async for live in newest(talk.answer(room, conversation, act), REFRESH_S):
            turns = before if live.message is None else [*before, message_view(live.message)]
            making = making_view(live.making, time.monotonic())
            yield {"room": room.id, "turns": turns, "making": making, "busy": True}
    except EXPECTED as failure:
        error = str(failure)
    except Exception:
        logger.exception("an answer of the chat page failed")
        error = words.failed
    note = words.dropped.format(what=", ".join(live.dropped)) if live.dropped else None
    yield room_view(room, error=error, note=words.stopped if live.is_stopped else note)


def room_view(room: Room, *, error: str | None = None, note: str | None = None) -> View:
    """A conversation as it stands."""
    return {
        "room": room.id,
        "turns": turns_view(room.conversation, room.details),
        "making": [],
        "busy": False,
        "error": error,
        "note": note,
        "told": time.time_ns(),  # so that a view that equals the one before is told too
    }


def _asked(event: gr.EventData) -> dict[str, Any]:
    """What the page sent with an event."""
    return event._data if isinstance(event._data, dict) else {}


def _limits(talk: Talk) -> dict[str, Any]:
    """What the page's settings may be, and where they stand at first."""
    settings, wishes = talk.service.settings, Wishes()
    return {
        "modalities": list(talk.service.engine.modalities),
        "steps": settings.steps,
        "guidance": settings.guidance,
        "tokens": settings.tokens,
        "length": min(wishes.length, settings.tokens),
        "medium_bytes": settings.medium_bytes,
        "media_count": settings.media_count,
        "has_keys": bool(settings.api_keys),
    }
