"""Shape and type checks are on wherever tests run: annotations of the package are checked at each call.

The small world is left out: it holds no tensors, and its trainings' draws call it millions of times.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import jaxtyping
import pytest
from tests.browser import CHROMIUM

# The checker is found by name, in whichever way pytest imports the tests.
sys.path.insert(0, str(Path(__file__).parent))
PACKAGE = Path(__file__).parents[1] / "src" / "nextgpt"
CHECKED = [f"nextgpt.{path.stem}" for path in PACKAGE.iterdir() if path.stem not in ("__init__", "miniworld")]
# Before anything of the package is imported; modules that are loaded already stay unchecked.
jaxtyping.install_import_hook(CHECKED, "typechecks.checked")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests whose device, network or browser is missing, and give the reason."""
    for item in items:
        if item.get_closest_marker("browser") and CHROMIUM is None and not os.environ.get("NEXTGPT_REQUIRE_BROWSER"):
            item.add_marker(pytest.mark.skip(reason="needs Chromium; install it with apt-get install chromium"))
        if item.get_closest_marker("gpu") and not _has_gpu():
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
        if item.get_closest_marker("network") and not os.environ.get("NEXTGPT_TEST_NETWORK"):
            item.add_marker(pytest.mark.skip(reason="needs the network; set NEXTGPT_TEST_NETWORK=1"))


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()
