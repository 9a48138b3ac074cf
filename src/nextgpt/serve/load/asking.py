"""One client of many: says turns, listens to streams, and compares answers."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np

from nextgpt.message import Audio, Image, Medium, Video
from nextgpt.serve.load.scripts import Script

READERS = {"image_url": Image, "audio_url": Audio, "video_url": Video}
ROUNDING = 4.0
"""Mean difference, in 255ths, that media made in another batch may have: sums in another order."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What a turn got."""

    message: dict[str, Any]
    seconds: float


def is_same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two messages say the same words and show the same media, in the same order."""
    parts = one["parts"], other["parts"]
    if [part["type"] for part in parts[0]] != [part["type"] for part in parts[1]]:
        return False
    return all(_is_same_part(*pair) for pair in zip(*parts, strict=True))


def _is_same_part(one: dict[str, Any], other: dict[str, Any]) -> bool:
    kind = one["type"]
    if kind == "text":
        return one["text"] == other["text"]
    first, second = _samples(one, kind), _samples(other, kind)
    return first.shape == second.shape and float(np.abs(first - second).mean()) <= ROUNDING


def _samples(part: dict[str, Any], kind: str) -> np.ndarray:
    """A medium as numbers from 0 to 255, roughly."""
    medium: Medium = READERS[kind].open(base64.b64decode(part[kind]["url"].partition(",")[2]))
    if isinstance(medium, Image):
        return np.asarray(medium.image, dtype=np.float32)
    return medium.samples * 128 if isinstance(medium, Audio) else medium.frames.astype(np.float32)


class Asker:
    """A client of a server under test; ``client`` knows its address and key."""

    def __init__(self, client: httpx.AsyncClient, model: str) -> None:
        self._client = client
        self._model = model

    async def converse(self, script: Script) -> list[Answer]:
        """Say all turns of a conversation, one after another, each with what was answered before."""
        messages: list[dict[str, Any]] = []
        answers: list[Answer] = []
        for turn in script.turns:
            body = script.request(messages, turn)
            start = time.perf_counter()
            got = await self._client.post("/v1/chat/completions", json={"model": self._model} | body)
            if got.status_code != 200:
                raise RuntimeError(f"conversation {script.number} got {got.status_code}: {got.text[:200]}")
            message = got.json()["choices"][0]["message"]
            answers.append(Answer(message, time.perf_counter() - start))
            messages = [*body["messages"], {"role": "assistant", "content": None, "parts": message["parts"]}]
        return answers

    async def first_words_s(self, scripts: Sequence[Script]) -> list[float]:
        """Seconds from asking the first turns of all these at once, as streams, to the first words of each.

        Connections are open and requests written out before, and nothing is parsed on the way: what this client did
        meanwhile would be taken from the server's cores.
        """
        requests = [self._request(script) for script in scripts]
        address = self._client.base_url
        connections = [await asyncio.open_connection(address.host, address.port) for _ in scripts]
        start = time.perf_counter()
        for (_, writer), request in zip(connections, requests, strict=True):
            writer.write(request)
        return list(
            await asyncio.gather(*(_first_words(reader, writer, start) for reader, writer in connections))
        )

    def _request(self, script: Script) -> bytes:
        """A streamed first turn as it goes over the line."""
        body = script.request([], script.turns[0]) | {"model": self._model, "stream": True}
        built = self._client.build_request(
            "POST", "/v1/chat/completions", json=body, headers={"Connection": "close"}
        )
        head = "".join(f"{name}: {value}\r\n" for name, value in built.headers.items())
        return f"POST {built.url.raw_path.decode()} HTTP/1.1\r\n{head}\r\n".encode() + built.read()

    async def leave_at(self, step: int, *, steps: int) -> float:
        """Ask for a film of so many steps, leave at one of them, and tell the seconds that a step took before."""
        body = {
            "model": self._model,
            "messages": [{"role": "user", "content": "Show me a ball that moves."}],
            "modalities": ["video"],
            "stream": True,
            "nextgpt": {"video": {"num_inference_steps": steps}},
        }
        times: list[float] = []
        async with self._client.stream("POST", "/v1/chat/completions", json=body) as got:
            async for line in got.aiter_lines():
                if '"event":"progress"' in line:
                    times.append(time.perf_counter())
                if len(times) == step:
                    break
        if len(times) < step:
            raise RuntimeError(f"the film took {len(times)} steps; expected at least {step}")
        return (times[-1] - times[0]) / (step - 1)

    async def metrics(self) -> dict[str, float]:
        """The server's metrics by their name with labels."""
        lines = (await self._client.get("/metrics")).text.splitlines()
        return {
            line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
            for line in lines
            if line[:1] not in ("#", "")
        }


WORDS = b'"delta":{"content":"'


async def _first_words(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, start: float) -> float:
    """Read a stream to its end; give when the first words came."""
    heard, first = b"", None
    while piece := await reader.read(2**16):
        if first is None:
            heard += piece
            first = time.perf_counter() - start if WORDS in heard else None
    writer.close()
    if first is None:
        raise RuntimeError(f"a stream held no words: {heard[:200]!r}")
    return first
