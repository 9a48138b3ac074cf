"""glibc malloc settings: keep freed memory in the process.

Every layer of a batch frees blocks that the next layer allocates again. By default, glibc returns large blocks to the
operating system at once, which then has to zero every page of the new ones.
"""

from __future__ import annotations

import ctypes
import platform

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Parameter numbers of ``mallopt`` in malloc.h."""
TRIM_THRESHOLD_BYTES = 512 * 2**20
"""Free memory that is kept at the top of the heap."""
MMAP_THRESHOLD_BYTES = 32 * 2**20
"""The maximum that glibc allows; larger blocks get a memory mapping of their own."""


def disable_malloc_trim() -> bool:
    """Keep freed memory in this process; return whether the allocator supports it.

    Only for this package's own programs; library users decide for themselves.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES) and mallopt(_TRIM_THRESHOLD, TRIM_THRESHOLD_BYTES))
