"""One browser's talk with the engine: attach files, let an answer be made, tell how it stands after every event."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path

from nextgpt.errors import MediaError
from nextgpt.media.sniff import sniff
from nextgpt.media.source import SNIFFED_BYTES
from nextgpt.message import Conversation, Medium, Message, Text
from nextgpt.serve.context import Service
from nextgpt.serve.engine.base import Job
from nextgpt.serve.web.live import Live
from nextgpt.serve.web.rooms import Room, Stopped
from nextgpt.serve.web.strings import Strings
from nextgpt.serve.web.turns import Wishes, sampling


@dataclass(frozen=True)
class Talk:
    """Rooms talk to the engine through this."""

    service: Service
    strings: Strings

    async def attach(self, files: Sequence[str]) -> list[Medium]:
        """Read what was attached. Raises :class:`MediaError`."""
        most = self.service.settings.media_count
        if len(files) > most:
            raise MediaError(f"{len(files)} files came; expected at most {most} a message. Send them in parts.")
        return [await self._read(Path(file)) for file in files]

    async def answer(self, room: Room, conversation: Conversation, wishes: Wishes) -> AsyncIterator[Live]:
        """Let the conversation be answered in its room; how the answer stands after every event.

        Raises:
            NextGPTError, Busy, EngineFailure: It cannot be answered.
        """
        room.stop()
        room.conversation = conversation
        (ticket,) = self.service.submit(Job(conversation, sampling(wishes, self.service.settings), has_previews=True))
        room.ticket, live = ticket, Live()
        try:
            async with aclosing(ticket.events()) as events:
                async for event in events:
                    live = live.hear(event, time.monotonic())
                    yield live
        except Stopped:
            live = replace(live, parts=(*live.parts, Text(self.strings.stopped)), progress=None)
            yield live
        finally:
            if room.ticket is ticket:  # else a later answer has taken the room
                room.ticket = None
                room.conversation = answered(conversation, live)

    async def _read(self, path: Path) -> Medium:
        most = self.service.settings.medium_bytes
        with path.open("rb") as file:
            content = file.read(most + 1)
        if len(content) > most:
            raise MediaError(f"{path.name} is larger than {most / 2**20:.0f} MiB; expected less. Shrink it.")
        kind = sniff(content[:SNIFFED_BYTES])
        if kind is None or not kind.holds:
            label = "of no known type" if kind is None else kind.label
            raise MediaError(f"{path.name} is {label}; expected a picture, sound or film. Convert it.")
        return await self.service.decoder.decode(kind.holds[0], content)


def answered(conversation: Conversation, live: Live) -> Conversation:
    """The conversation with what was answered so far."""
    parts = live.parts
    return conversation if not parts else replace(
        conversation, messages=(*conversation.messages, Message("assistant", parts))
    )
