"""Routes: one file a family of addresses, each with a ``router``."""

from __future__ import annotations

from fastapi import APIRouter

from nextgpt.serve import static_page
from nextgpt.serve.api import audio, chat, docs, embeddings, files, images, models, status, videos

ROUTERS: tuple[APIRouter, ...] = (
    chat.router,
    images.router,
    audio.router,
    videos.router,
    embeddings.router,
    files.router,
    models.router,
    status.router,
    docs.router,
    static_page.router,
)

__all__ = ["ROUTERS"]
