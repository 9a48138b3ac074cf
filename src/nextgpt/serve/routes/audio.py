"""``/v1/audio``."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter(tags=["audio"])
