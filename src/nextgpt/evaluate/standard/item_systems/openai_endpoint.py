"""Client of an OpenAI-compatible server: another model, answering the same items over HTTP."""

from __future__ import annotations

import base64
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urldefrag, urljoin

import httpx

from nextgpt.errors import ConfigError, ConversationError
from nextgpt.media import READERS
from nextgpt.message import Conversation, Medium, Message, Reply, Sampling, Text, media_filename

TIMEOUT_S = 600.0
API_KEY = "OPENAI_API_KEY"
"""Environment variable of the key that is sent, if it is set."""
_URL_PARTS = {"image_url": "image", "audio_url": "audio", "video_url": "video"}
_FIELDS = (("images", "image"), ("audios", "audio"), ("videos", "video"))


class OpenAIEndpoint:
    """``POST /v1/chat/completions`` of one server.

    Args:
        url: Address such as ``http://127.0.0.1:8000/v1#model``; the model is the server's first one if omitted.
        transport: Replaces the network in tests.
    """

    def __init__(self, url: str, transport: httpx.BaseTransport | None = None) -> None:
        address, model = urldefrag(url)
        if not address.startswith(("http://", "https://")):
            raise ConfigError(f"got the address {url!r}; expected http://HOST:PORT/v1 of an OpenAI-compatible server.")
        self._base = f"{address.rstrip('/').removesuffix('/v1')}/v1/"
        key = os.environ.get(API_KEY)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = httpx.Client(timeout=TIMEOUT_S, headers=headers, transport=transport)
        self._model = model

    def complete(self, messages: Sequence[dict[str, Any]], **fields: Any) -> dict[str, Any]:
        """Return the message of the first choice.

        Raises:
            ConversationError: The server refuses this request.
            ConfigError: The server cannot be reached, or fails.
        """
        self._model = self._model or self._first_model()
        body = {"model": self._model, "messages": list(messages), **fields}
        content = self._request("POST", "chat/completions", body)
        try:
            return content["choices"][0]["message"]
        except (KeyError, IndexError, TypeError):
            raise ConfigError(f"{self._base} answered without choices; expected a chat completion.") from None

    def fetch(self, url: str) -> bytes:
        """Return the content of a data URI, or of an address on the server or elsewhere."""
        if url.startswith("data:"):
            return base64.b64decode(url.partition(",")[2])
        return self._send("GET", urljoin(self._base, url)).content

    def _first_model(self) -> str:
        models = self._request("GET", "models").get("data") or [{}]
        return str(models[0].get("id", ""))

    def _request(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        response = self._send(method, self._base + path, body)
        try:
            return response.json()
        except ValueError:
            raise ConfigError(f"{self._base}{path} answered no JSON; expected an OpenAI-compatible server.") from None

    def _send(self, method: str, url: str, body: dict[str, Any] | None = None) -> httpx.Response:
        try:
            response = self._client.request(method, url, json=body)
        except httpx.HTTPError as error:
            raise ConfigError(
                f"{url} cannot be reached ({type(error).__name__}); expected a running server. Start it, then run the "
                "same command again: finished answers are kept."
            ) from None
        if response.status_code in (400, 413, 422):
            raise ConversationError(f"the server refused the request ({response.status_code}): {response.text[:200]}")
        if response.is_error:
            raise ConfigError(f"{url} answered {response.status_code}: {' '.join(response.text[:200].split())}")
        return response


class OpenAIChat:
    """Implements :class:`.base.ChatModel` on an endpoint, one request per conversation."""

    def __init__(self, endpoint: OpenAIEndpoint) -> None:
        self._endpoint = endpoint

    def chat_batch(self, conversations: Sequence[Conversation], sampling: Sequence[Sampling]) -> list[Reply]:
        """Reply to several conversations, one after another."""
        return [self._reply(*pair) for pair in zip(conversations, sampling, strict=True)]

    def _reply(self, conversation: Conversation, sampling: Sampling) -> Reply:
        messages = [to_message(message) for message in conversation]
        fields = {"seed": sampling.seed, "temperature": sampling.temperature, "max_tokens": sampling.max_tokens}
        return Reply(tuple(self._parts(self._endpoint.complete(messages, **fields))), sampling.seed)

    def _parts(self, message: dict[str, Any]) -> list[Text | Medium]:
        """Return ``message.parts``, or else the text and then the media."""
        if message.get("parts"):
            return [self._part(part) for part in message["parts"]]
        content = message.get("content") or ""
        if isinstance(content, list):
            return [self._part(part) for part in content]
        parts: list[Text | Medium] = [Text(content)] if content else []
        for field, modality in _FIELDS:
            for entry in message.get(field) or ():
                parts.append(self._medium(modality, entry[f"{modality}_url"]))
        if not message.get("audios") and (audio := message.get("audio")):
            parts.append(READERS["audio"](base64.b64decode(audio["data"])))
        return parts

    def _part(self, part: dict[str, Any]) -> Text | Medium:
        if part["type"] == "text":
            return Text(part["text"])
        return self._medium(_URL_PARTS[part["type"]], part[part["type"]])

    def _medium(self, modality: str, url: dict[str, Any] | str) -> Medium:
        return READERS[modality](self._endpoint.fetch(url if isinstance(url, str) else url["url"]))


def to_message(message: Message) -> dict[str, Any]:
    """Return a message in OpenAI's form; media are data URIs, audio is base64."""
    if not message.media:
        return {"role": message.role, "content": message.text}
    return {"role": message.role, "content": [_to_part(part) for part in message.parts]}


def _to_part(part: Text | Medium) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    with tempfile.TemporaryDirectory() as folder:
        data = base64.b64encode(part.save(Path(folder) / media_filename(0, part)).read_bytes()).decode()
    if part.modality == "audio":
        return {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
    mime = {"image": "image/png", "video": "video/mp4"}[part.modality]
    return {"type": f"{part.modality}_url", f"{part.modality}_url": {"url": f"data:{mime};base64,{data}"}}
