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
from nextgpt.malloc import disable_malloc_trim, returning_freed_memory
if sys.argv[1] != "given back":
    assert disable_malloc_trim()
context = returning_freed_memory() if sys.argv[1] == "loading" else nullcontext()
if sys.argv[1] == "after loading":
    with returning_freed_memory():
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


pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators have no such settings")


def faults(how: str) -> int:
    return int(subprocess.run([sys.executable, "-c", BATCHES, how], capture_output=True, check=True).stdout)


def test_freed_memory_is_returned_by_default():
    assert faults("given back") > 1000


@pytest.mark.parametrize("how", ["kept", "after loading"])
def test_freed_memory_is_kept(how: str):
    assert faults(how) < 100


def test_freed_memory_is_returned_while_a_model_is_being_loaded():
    assert faults("loading") > 1000
