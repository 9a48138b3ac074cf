"""The page: lays out Gradio's components and ties them to steps that stand in the other files."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import gradio as gr

from nextgpt.errors import NextGPTError
from nextgpt.message import Conversation
from nextgpt.modality import MODALITIES
from nextgpt.serve.engine.base import Busy, EngineFailure
from nextgpt.serve.web import archive, turns
from nextgpt.serve.web.live import Live
from nextgpt.serve.web.rooms import Room, Rooms
from nextgpt.serve.web.rows import progress_html, rows, turn_of_row
from nextgpt.serve.web.talk import Talk, answered
from nextgpt.serve.web.turns import Wishes

EXPECTED = (NextGPTError, Busy, EngineFailure)
REFRESH_S = 0.1
"""The page is drawn anew at most so often."""
HEAD = '<meta name="viewport" content="width=device-width, initial-scale=1">'
CSS = """
.making progress { width: 100%; height: .8em } .making img { max-width: 12em; image-rendering: pixelated }
@media (max-width: 640px) { .gradio-container { padding: 4px !important } .row { flex-wrap: wrap } }
"""
TOGGLE_THEME = "() => { document.body.classList.toggle('dark') }"


def theme() -> Any:
    """Fonts of the reader's own machine; nothing is fetched."""
    return gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])


def build_page(talk: Talk, rooms: Rooms) -> gr.Blocks:
    """Lay out the chat."""
    words, limits = talk.strings, talk.service.settings
    with gr.Blocks(title=words.title, analytics_enabled=False, fill_height=True, delete_cache=(600, 3600)) as page:
        room_id = gr.BrowserState(None, storage_key="nextgpt-room")
        version = gr.State(0)
        gr.Markdown(f"# {words.title}\n{words.lead}")
        chat = gr.Chatbot(
            label=words.conversation, editable="user", height="60vh", latex_delimiters=[], feedback_options=None,
            elem_id="chat", allow_tags=False,
        )  # fmt: skip
        making = gr.HTML(elem_id="making", html_template='<div role="status" aria-live="polite">${value}</div>')
        box = gr.MultimodalTextbox(
            label=words.message, placeholder=words.message, show_label=False, file_count="multiple",
            file_types=list(MODALITIES), sources=["upload", "microphone"], autofocus=True, elem_id="box",
        )  # fmt: skip
        with gr.Row():
            stop = gr.Button(words.stop, variant="stop", elem_id="stop")
            retry = gr.Button(words.retry, elem_id="retry")
            new = gr.Button(words.new, elem_id="new")
            dark = gr.Button(words.theme, elem_id="theme")
        gr.Examples([[{"text": text, "files": []}] for text in words.example_texts], box, label=words.examples)
        with gr.Accordion(words.settings, open=False):
            named = [(words.names[name], name) for name in ("text", *MODALITIES)]
            chosen = gr.CheckboxGroup(named, label=words.modalities, info=words.modality_help)
            seed = gr.Number(0, label=words.seed, precision=0, minimum=0, maximum=2**31 - 1, elem_id="seed")
            steps = gr.Slider(0, limits.steps, 0, step=1, label=words.steps, info=words.model_default)
            guidance = gr.Slider(0, limits.guidance, 0, step=0.5, label=words.guidance, info=words.model_default)
            length = gr.Slider(1, limits.tokens, min(256, limits.tokens), step=1, label=words.length)
        with gr.Accordion(words.camera, open=False):
            camera = gr.Image(sources=["webcam"], type="filepath", show_label=False)
            take = gr.Button(words.take)
        with gr.Row():
            export = gr.DownloadButton(words.export, elem_id="export")
            bring = gr.UploadButton(words.import_, file_types=[".zip"], elem_id="import")

        wishes = [chosen, seed, steps, guidance, length]
        shown = [chat, making, version]

        def show(conversation: Conversation, room: Room) -> list[dict[str, Any]]:
            return rows(conversation, room.file, words)

        async def made_now(room: Room, conversation: Conversation, *wished: Any) -> AsyncIterator[Any]:
            drawn_s, live = 0.0, Live()
            try:
                yield await asyncio.to_thread(show, conversation, room), "", gr.skip()
                async for live in talk.answer(room, conversation, Wishes(tuple(wished[0] or ()), *wished[1:])):
                    now_s = time.monotonic()
                    if now_s - drawn_s < REFRESH_S:
                        continue
                    drawn_s = now_s
                    yield show(answered(conversation, live), room), progress_html(live, now_s, words), gr.skip()
            except EXPECTED as error:
                gr.Warning(str(error))
            if live.dropped:
                gr.Info(words.dropped.format(what=", ".join(live.dropped)))
            yield await asyncio.to_thread(show, room.conversation, room), "", time.time_ns()

        async def send(message: dict[str, Any], room_id: Any, *wished: Any) -> AsyncIterator[Any]:
            room = rooms.enter(room_id)
            try:
                media = await talk.attach(message["files"])
                conversation = turns.said(room.conversation, message["text"] or "", media, words)
            except EXPECTED as error:
                raise gr.Error(str(error)) from None
            async for drawn in made_now(room, conversation, *wished):
                yield None, room.id, *drawn

        async def again(room_id: Any, chosen: Any, seed: int, *wished: Any) -> AsyncIterator[Any]:
            room, seed = rooms.enter(room_id), secrets.randbelow(2**31)
            conversation = turns.unanswered(room.conversation)
            if conversation.messages:
                async for drawn in made_now(room, conversation, chosen, seed, *wished):
                    yield seed, *drawn

        async def resend(change: gr.EditData, room_id: Any, *wished: Any) -> AsyncIterator[Any]:
            room = rooms.enter(room_id)
            row = change.index[0] if isinstance(change.index, (list, tuple)) else change.index
            turn = turn_of_row(room.conversation, row)
            try:
                conversation = turns.edited(room.conversation, turn, str(change.value), words)
            except EXPECTED as error:
                raise gr.Error(str(error)) from None
            async for drawn in made_now(room, conversation, *wished):
                yield drawn

        def restore(room_id: Any) -> tuple[Any, ...]:
            room = rooms.enter(room_id)
            return room.id, show(room.conversation, room), "", time.time_ns()

        def begin(room_id: Any) -> tuple[Any, ...]:
            room = rooms.enter(room_id)
            room.stop()
            return restore(None)

        def attach(message: dict[str, Any] | None, file: str | None) -> dict[str, Any]:
            message = message or {"text": "", "files": []}
            return message | {"files": [*message["files"], *([file] if file else [])]}

        def pack(room_id: Any) -> str:
            room = rooms.enter(room_id)
            return str(archive.pack(room.conversation, room.folder / "conversation.zip"))

        def unpack(file: str, room_id: Any) -> tuple[Any, ...]:
            room = rooms.enter(room_id)
            allowed = archive.ArchiveLimits(messages=limits.messages, medium_bytes=limits.medium_bytes)
            try:
                found = archive.unpack(Path(file).read_bytes(), talk.service.decoder.decode_now, allowed)
            except EXPECTED as error:
                raise gr.Error(str(error)) from None
            room.stop()
            room.conversation = found
            return restore(room.id)

        many: dict[str, Any] = {"concurrency_limit": None, "show_progress": "hidden"}
        box.submit(send, [box, room_id, *wishes], [box, room_id, *shown], **many)
        retry.click(again, [room_id, *wishes], [seed, *shown], **many)
        chat.retry(again, [room_id, *wishes], [seed, *shown], **many)
        chat.edit(resend, [room_id, *wishes], shown, **many)
        stop.click(lambda room: rooms.enter(room).stop(), [room_id], [], queue=False)
        new.click(begin, [room_id], [room_id, *shown], **many)
        chat.clear(begin, [room_id], [room_id, *shown], **many)
        take.click(attach, [box, camera], [box], **many)
        version.change(pack, [room_id], [export], **many)
        bring.upload(unpack, [bring, room_id], [room_id, *shown], **many)
        dark.click(None, js=TOGGLE_THEME)
        page.load(restore, [room_id], [room_id, *shown], **many)

        with gr.Accordion(words.gallery, open=False, elem_id="gallery"):

            @gr.render(inputs=[room_id], triggers=[version.change])
            def gallery(room_id: Any) -> None:
                room = rooms.enter(room_id)
                found = turns.made(room.conversation)
                if not found:
                    gr.Markdown(words.gallery_empty)
                players = {"image": gr.Image, "audio": gr.Audio, "video": gr.Video}
                for _, _, medium in found:
                    path = str(room.file(medium))
                    with gr.Group():
                        players[medium.modality](path, interactive=False, label=words.names[medium.modality])
                        use = gr.Button(words.use, elem_classes=["use"])
                        use.click(lambda message, path=path: attach(message, path), [box], [box], **many)

    return page
