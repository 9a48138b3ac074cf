"""A small run, and a browser for the pages on it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.browser import browser, tolerated, visit
from tests.evaluate.small_run import make_run

from nextgpt.evaluate.standard.run_folder import RunFolder

__all__ = ["browser", "tolerated", "visit"]


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A complete run of two systems."""
    return make_run(tmp_path / "run")
