"""The request that asks for an answer again, as one types it: for curl, and in Python. Knows files, no HTTP."""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nextgpt.message import Conversation, Medium, Message, Part, Sampling, Text
from nextgpt.serve.wire.answer import MEDIA_TYPES

SMALL_BYTES = 16 * 2**10
"""A file up to this size stands in the request; of a larger one its name stands there, as nobody types it."""
LEFT_OUT = "<the base64 of {name} goes here>"
WIDTH = 88
KEY = "NEXTGPT_API_KEY"
"""The variable of the environment that stands for the key."""

File = Callable[[Medium], Path]
"""Where the file of a medium is."""


@dataclass(frozen=True)
class Api:
    """Whom to ask."""

    base: str
    """Such as ``http://127.0.0.1:8000/v1``."""
    model: str
    modalities: tuple[str, ...]
    """What it can answer."""
    has_keys: bool


def body(conversation: Conversation, sampling: Sampling, api: Api, file: File) -> dict[str, Any]:
    """What is sent: the conversation that was answered, and everything that was wished for."""
    asked: dict[str, Any] = {
        "model": api.model,
        "messages": [_message(message, file) for message in conversation],
        "seed": sampling.seed,
        "max_completion_tokens": sampling.max_tokens,
    }
    if sampling.modalities is not None:
        asked["modalities"] = list(sampling.modalities)
    own = {name: _options(sampling, name) for name in api.modalities if name != "text"}
    given = {name: options for name, options in own.items() if options}
    return asked | {"nextgpt": given} if given else asked


def _options(sampling: Sampling, modality: str) -> dict[str, float]:
    wished = {"num_inference_steps": sampling.steps, "guidance_scale": sampling.guidance}
    own = {
        name: value.get(modality) if isinstance(value, Mapping) else value for name, value in wished.items()
    }
    return {name: value for name, value in own.items() if value is not None}


def for_curl(asked: dict[str, Any], api: Api) -> str:
    """A command whose body no shell looks into."""
    key = f'  -H "Authorization: Bearer ${KEY}" \\\n' if api.has_keys else ""
    return (
        f"curl {shlex.quote(f'{api.base}/chat/completions')} \\\n"
        f"  -H 'Content-Type: application/json' \\\n{key}"
        f"  -d @- <<'JSON'\n{_laid_out(asked)}\nJSON\n"
    )


def in_python(asked: dict[str, Any], api: Api) -> str:
    """A program for OpenAI's client."""
    own = {"extra_body": {"nextgpt": asked["nextgpt"]}} if "nextgpt" in asked else {}
    arguments = {name: value for name, value in asked.items() if name != "nextgpt"} | own
    lines = [f"    {name}={_laid_out(value, '    ')},\n" for name, value in arguments.items()]
    start, key = ("import os\n\n", f'os.environ["{KEY}"]') if api.has_keys else ("", '"none"')
    return (
        f"{start}import openai\n\n"
        f"client = openai.OpenAI(base_url={json.dumps(api.base)}, api_key={key})\n"
        f"answer = client.chat.completions.create(\n{''.join(lines)})\n"
        "print(answer.choices[0].message.content)\n"
    )


def left_out(conversation: Conversation, file: File) -> list[str]:
    """Names of the files that are too large to stand in the request."""
    paths = dict.fromkeys(file(medium) for medium in conversation.media)
    return [path.name for path in paths if not _is_small(path)]


def _message(message: Message, file: File) -> dict[str, Any]:
    parts = [_part(part, file) for part in message.parts]
    is_plain = all(part["type"] == "text" for part in parts)
    return {"role": message.role, "content": message.text if is_plain else parts}


def _part(part: Part, file: File) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    kind = f"{part.modality}_url"
    return {"type": kind, kind: {"url": _data_uri(file(part))}}


def _data_uri(path: Path) -> str:
    kind = MEDIA_TYPES.get(path.suffix, "application/octet-stream")
    content = base64.b64encode(path.read_bytes()).decode("ascii") if _is_small(path) else None
    return f"data:{kind};base64,{content or LEFT_OUT.format(name=path.name)}"


def _is_small(path: Path) -> bool:
    return path.stat().st_size <= SMALL_BYTES


def _laid_out(value: Any, indent: str = "") -> str:
    """JSON, which is Python too where nothing is true, false or null: in one line if it fits, else an item a line."""
    line = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or len(indent + line) <= WIDTH:
        return line
    inner = indent + "  "
    if isinstance(value, dict):
        items = [f"{json.dumps(name)}: {_laid_out(item, inner)}" for name, item in value.items()]
    else:
        items = [_laid_out(item, inner) for item in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n" + ",\n".join(inner + item for item in items) + f"\n{indent}{closing}"
