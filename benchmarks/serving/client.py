"""One of many simulated clients: runs conversations, reads streams, compares replies."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
from benchmarks.serving.workload import ConversationScript

from nextgpt.message import Audio, Image, Medium, Video

MEDIA_CLASSES = {"image_url": Image, "audio_url": Audio, "video_url": Video}
PIXEL_TOLERANCE = 4.0
"""Mean difference on a scale of 255 that is allowed, because another batch rounds sums differently."""
FIRST_TOKEN = b'"delta":{"content":"'


@dataclass(frozen=True, eq=False)
class TimedReply:
    """Reply to one turn."""

    message: dict[str, Any]
    seconds: float


def replies_match(first: dict[str, Any], second: dict[str, Any]) -> bool:
    """Return whether two messages have equal text and media within the tolerance, in the same order."""
    parts = first["parts"], second["parts"]
    if [part["type"] for part in parts[0]] != [part["type"] for part in parts[1]]:
        return False
    return all(_parts_match(*pair) for pair in zip(*parts, strict=True))


def _parts_match(first: dict[str, Any], second: dict[str, Any]) -> bool:
    kind = first["type"]
    if kind == "text":
        return first["text"] == second["text"]
    one, other = _samples(first, kind), _samples(second, kind)
    return one.shape == other.shape and float(np.abs(one - other).mean()) <= PIXEL_TOLERANCE


def _samples(part: dict[str, Any], kind: str) -> np.ndarray:
    """Decode a medium to numbers on a scale of about 255."""
    medium: Medium = MEDIA_CLASSES[kind].open(base64.b64decode(part[kind]["url"].partition(",")[2]))
    if isinstance(medium, Image):
        return np.asarray(medium.image, dtype=np.float32)
    return medium.samples * 128 if isinstance(medium, Audio) else medium.frames.astype(np.float32)


class LoadClient:
    """Client of the server under test; ``http`` has its address and key."""

    def __init__(self, http: httpx.AsyncClient, model: str) -> None:
        self._http = http
        self._model = model

    async def run_conversation(self, script: ConversationScript) -> list[TimedReply]:
        """Run all turns of a conversation, each with the earlier replies as history."""
        messages: list[dict[str, Any]] = []
        replies: list[TimedReply] = []
        for turn in script.turns:
            body = script.request(messages, turn)
            start = time.perf_counter()
            response = await self._http.post("/v1/chat/completions", json={"model": self._model} | body)
            if response.status_code != 200:
                text = response.text[:200]
                raise RuntimeError(f"conversation {script.number} got {response.status_code}: {text}")
            message = response.json()["choices"][0]["message"]
            replies.append(TimedReply(message, time.perf_counter() - start))
            messages = [*body["messages"], {"role": "assistant", "content": None, "parts": message["parts"]}]
        return replies

    async def time_to_first_token(self, scripts: Sequence[ConversationScript]) -> list[float]:
        """Return the seconds to the first token of concurrent streams, one per script.

        Connections are open and requests serialized before the clock starts, and nothing is parsed on the way:
        the client's work would take time from the server's cores.
        """
        requests = [self._serialized(script) for script in scripts]
        url = self._http.base_url
        connections = [await asyncio.open_connection(url.host, url.port) for _ in scripts]
        start = time.perf_counter()
        for (_, writer), request in zip(connections, requests, strict=True):
            writer.write(request)
        return list(await asyncio.gather(*(_first_token(reader, writer, start) for reader, writer in connections)))

    def _serialized(self, script: ConversationScript) -> bytes:
        """Serialize the request for a streamed first turn."""
        body = script.request([], script.turns[0]) | {"model": self._model, "stream": True}
        request = self._http.build_request("POST", "/v1/chat/completions", json=body, headers={"Connection": "close"})
        head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        return f"POST {request.url.raw_path.decode()} HTTP/1.1\r\n{head}\r\n".encode() + request.read()

    async def disconnect_at_step(self, step: int, *, num_inference_steps: int) -> float:
        """Disconnect during video generation; return the mean seconds per step until then."""
        body = {
            "model": self._model,
            "messages": [{"role": "user", "content": "Show me a ball that moves."}],
            "modalities": ["video"],
            "stream": True,
            "nextgpt": {"video": {"num_inference_steps": num_inference_steps}},
        }
        times: list[float] = []
        async with self._http.stream("POST", "/v1/chat/completions", json=body) as response:
            async for line in response.aiter_lines():
                if '"event":"progress"' in line:
                    times.append(time.perf_counter())
                if len(times) == step:
                    break
        if len(times) < step:
            raise RuntimeError(f"the video took {len(times)} steps; expected at least {step}")
        return (times[-1] - times[0]) / (step - 1)

    async def metrics(self) -> dict[str, float]:
        """Return the server's metrics by name with labels."""
        lines = (await self._http.get("/metrics")).text.splitlines()
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line[:1] not in ("#", "")}


async def _first_token(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, start: float) -> float:
    """Read a stream to its end; return the time of the first token."""
    received, first = b"", None
    while chunk := await reader.read(2**16):
        if first is None:
            received += chunk
            first = time.perf_counter() - start if FIRST_TOKEN in received else None
    writer.close()
    if first is None:
        raise RuntimeError(f"a stream had no text: {received[:200]!r}")
    return first
