"""Memory that is kept for what comes next."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

BATCHES = """
import resource, sys
import numpy as np
from contextlib import nullcontext
from nextgpt.malloc import disable_malloc_trim, returning_freed_weights
if sys.argv[1] != "given back":
    assert disable_malloc_trim()
context = returning_freed_weights() if sys.argv[1] == "loading" else nullcontext()
if sys.argv[1] == "after loading":
    with returning_freed_weights():
        pass
def batch():
    blocks = [np.ones(5 * 2**20, dtype=np.uint8) for _ in range(8)]
    del blocks
with context:
    batch(); batch()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        batch()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_pages_that_were_freed_are_not_asked_for_again():
    faults = {
        how: int(subprocess.run([sys.executable, "-c", BATCHES, how], capture_output=True, check=True).stdout)
        for how in ("given back", "kept", "loading", "after loading")
    }
    assert faults["given back"] > 1000
    assert faults["loading"] > 1000
    assert faults["kept"] < 100
    assert faults["after loading"] < 100
