"""Quiet libraries, and the type of progress callbacks."""

from __future__ import annotations

import os
from collections.abc import Callable

ProgressCallback = Callable[[str, int, int], None]
"""``(stage, done, total)``: called while a long stage runs."""

QUIET_ENV = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "TRANSFORMERS_VERBOSITY": "error", "DIFFUSERS_VERBOSITY": "error"}
"""Environment variables that keep libraries from writing between the lines of a program; a user's own value wins."""


def silence_libraries() -> None:
    """Set :data:`QUIET_ENV`. Call it before the libraries are imported."""
    for name, value in QUIET_ENV.items():
        os.environ.setdefault(name, value)
