"""``/v1/videos``."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter(tags=["videos"])
