"""How memory is given back to the operating system: hardly ever, where glibc can be told so.

Every layer of a batch frees what the next one asks for again. glibc hands large blocks back at once, and the machine
then fills every page of the new ones with zeros, which batches of media feel: one medium's blocks are smaller.
"""

from __future__ import annotations

import ctypes
import platform

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Names of ``mallopt``, as malloc.h numbers them."""
TRIM_THRESHOLD_BYTES = 512 * 2**20
"""What may lie free at the top of a heap."""
MMAP_THRESHOLD_BYTES = 32 * 2**20
"""The most that glibc allows; larger blocks are mapped, each for itself."""


def disable_malloc_trim() -> bool:
    """Let this process keep memory that it freed for what it asks for next; whether the allocator could be told so.

    For programs that are ours from beginning to end. It is theirs to decide who imports this package.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(
        mallopt(_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES) and mallopt(_TRIM_THRESHOLD, TRIM_THRESHOLD_BYTES)
    )
