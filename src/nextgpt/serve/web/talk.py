"""One browser's talk with the engine: attach a file, let an answer be made, tell how it stands after every event."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, replace

from nextgpt.errors import ConversationError, MediaError
from nextgpt.media.sniff import sniff
from nextgpt.media.source import SNIFFED_BYTES
from nextgpt.message import Conversation, Medium, Message
from nextgpt.serve.context import Service
from nextgpt.serve.engine.base import Job
from nextgpt.serve.web.acts import Act
from nextgpt.serve.web.details import Details
from nextgpt.serve.web.live import Live
from nextgpt.serve.web.rooms import Room, Stopped
from nextgpt.serve.web.strings import strings_for
from nextgpt.serve.web.turns import edited, said, sampling, unanswered


@dataclass(frozen=True)
class Talk:
    """Rooms talk to the engine through this."""

    service: Service

    async def attach(self, room: Room, content: bytes) -> Medium:
        """Read a file, and keep it for the room's next message. Raises :class:`MediaError`."""
        kind = sniff(content[:SNIFFED_BYTES])
        if kind is None or not kind.holds:
            label = "of no known type" if kind is None else kind.label
            raise MediaError(f"The file is {label}; expected a picture, sound or film. Convert it.")
        return room.attach(
            await self._decode(kind.holds, content), most=2 * self.service.settings.media_count
        )

    def begin(self, room: Room, act: Act) -> Conversation:
        """The conversation as it is to be answered after an act. Raises :class:`ConversationError`."""
        words, most = strings_for(act.language), self.service.settings.media_count
        if act.do == "edit":
            return edited(room.conversation, act.turn, act.text, words)
        if act.do == "retry":
            return unanswered(room.conversation)
        if len(act.media) > most:
            raise ConversationError(
                f"{len(act.media)} files came; expected at most {most} a message. Send them in parts."
            )
        return said(room.conversation, act.text, [room.medium(name) for name in act.media], words)

    async def answer(self, room: Room, conversation: Conversation, act: Act) -> AsyncIterator[Live]:
        """Let the conversation be answered in its room; how the answer stands after every event.

        Raises:
            NextGPTError, Busy, EngineFailure: It cannot be answered.
        """
        room.stop()
        room.conversation = conversation
        room.details = {turn: known for turn, known in room.details.items() if turn < len(conversation)}
        wished = sampling(act.wishes, self.service.settings)
        (ticket,) = self.service.submit(Job(conversation, wished, has_previews=True))
        room.ticket, live = ticket, Live()
        try:
            async with aclosing(ticket.events()) as events:
                async for event in events:
                    live = live.hear(event, time.monotonic())
                    room.saying = live.parts
                    yield live
        except Stopped:
            live = replace(live, making=(), is_stopped=True)
            yield live
        finally:
            if room.ticket is ticket:  # else a later answer has taken the room
                room.ticket, room.saying = None, ()
                room.conversation = answered(conversation, live)
                if live.parts:
                    room.details[len(conversation)] = Details(wished, live.answered)

    async def _decode(self, modalities: tuple[str, ...], content: bytes) -> Medium:
        """Read a file as the first of what it may hold: a film without frames may be a sound."""
        for modality in modalities[:-1]:
            try:
                return await self.service.decoder.decode(modality, content)
            except MediaError:
                continue
        return await self.service.decoder.decode(modalities[-1], content)


def answered(conversation: Conversation, live: Live) -> Conversation:
    """The conversation with what was answered so far."""
    parts = live.parts
    return (
        conversation
        if not parts
        else replace(conversation, messages=(*conversation.messages, Message("assistant", parts)))
    )
