"""``/v1/embeddings``: texts, pictures, sounds and films as vectors of one common space."""

from __future__ import annotations

import base64
import struct
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import Field

from nextgpt.message import Medium
from nextgpt.serve.errors import ApiError
from nextgpt.serve.protocol.chat import OpenAIModel, Part, TextPart
from nextgpt.serve.protocol.request_parser import Reader, media_reference
from nextgpt.serve.state import get_state

router = APIRouter(tags=["embeddings"])

TEXT_CHARACTERS = 32_000
Text = Annotated[str, Field(max_length=TEXT_CHARACTERS)]


class EmbeddingRequest(OpenAIModel):
    """Texts, or parts as in a chat."""

    input: Text | Annotated[list[Text | Part], Field(min_length=1, max_length=64)]
    model: str | None = None
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None


@router.post("/v1/embeddings")
async def embed(request: Request, body: EmbeddingRequest) -> dict[str, Any]:
    """Give each text or medium a vector of length 1; what means the same lies near."""
    at = get_state(request)
    at.check_model(body.model)
    if body.dimensions is not None:
        raise ApiError(
            400, "dimensions came; expected none: vectors have one size. Leave it out.", param="dimensions"
        )
    given = [body.input] if isinstance(body.input, str) else body.input
    reader = at.request_parser(request)
    items = [await _item(reader, item, f"input.{place}") for place, item in enumerate(given)]
    vectors = await at.engine.embed(items)
    return {
        "object": "list",
        "model": at.engine.name,
        "data": [
            {"object": "embedding", "index": index, "embedding": _encoded(vector, body.encoding_format)}
            for index, vector in enumerate(vectors)
        ],
        "usage": {"prompt_tokens": 0, "total_tokens": 0},
    }


async def _item(reader: Reader, item: str | Part, param: str) -> str | Medium:
    if isinstance(item, str):
        return item
    if isinstance(item, TextPart):
        return item.text
    reference, modality = media_reference(item, param)
    return await reader.medium(reference, modality, param)


def _encoded(vector: list[float], encoding: str) -> list[float] | str:
    if encoding == "float":
        return vector
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")
