"""``/v1/embeddings``: text, images, audio and video as vectors of one common space."""

from __future__ import annotations

import asyncio
import base64
import struct
from collections.abc import Sequence

from fastapi import APIRouter, Request

from nextgpt.message import Medium
from nextgpt.serve.errors import ApiError
from nextgpt.serve.protocol.chat import ContentPart, TextPart
from nextgpt.serve.protocol.media import Embedding, EmbeddingList, EmbeddingRequest
from nextgpt.serve.protocol.request_parser import RequestParser, media_reference
from nextgpt.serve.state import get_state

router = APIRouter(tags=["embeddings"])


@router.post("/v1/embeddings")
async def create_embeddings(request: Request, body: EmbeddingRequest) -> EmbeddingList:
    """Return a vector of length 1 per text or medium; similar meanings have similar vectors."""
    state = get_state(request)
    state.check_model(body.model)
    if body.dimensions is not None:
        raise ApiError(400, "dimensions: the vectors have one size. Leave it out.", param="dimensions")
    inputs = [body.input] if isinstance(body.input, str) else body.input
    supported = await asyncio.to_thread(lambda: state.engine.embedding_modalities)
    parser = state.request_parser(request)
    items = [await _parse(parser, item, f"input.{index}") for index, item in enumerate(inputs)]
    for index, item in enumerate(items):
        _check_modality("text" if isinstance(item, str) else item.modality, supported, f"input.{index}")
    vectors = await state.engine.embed(items)
    data = [
        Embedding(index=index, embedding=_encode(vector, body.encoding_format)) for index, vector in enumerate(vectors)
    ]
    return EmbeddingList(model=state.engine.name, data=data)


def _check_modality(modality: str, supported: Sequence[str], param: str) -> None:
    if modality not in supported:
        raise ApiError(
            400,
            f"{param}: this model embeds no {modality}; expected one of {', '.join(supported)}. /v1/models lists them "
            "as embedding_modalities.",
            param=param,
            code="unsupported_modality",
        )


async def _parse(parser: RequestParser, item: str | ContentPart, param: str) -> str | Medium:
    if isinstance(item, str):
        return item
    if isinstance(item, TextPart):
        return item.text
    reference, modality = media_reference(item, param)
    return await parser.medium(reference, modality, param)


def _encode(vector: list[float], encoding: str) -> list[float] | str:
    if encoding == "float":
        return vector
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")
