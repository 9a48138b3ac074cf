"""glibc malloc settings: keep freed memory in the process.

Every layer of a batch frees blocks that the next layer allocates again. By default, glibc returns large blocks to the
operating system at once, which then has to zero every page of the new ones.
"""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Parameter numbers of ``mallopt`` in malloc.h."""
TRIM_THRESHOLD_BYTES = 512 * 2**20
"""Free memory that is kept at the top of the heap."""
MMAP_THRESHOLD_BYTES = 32 * 2**20
"""The maximum that glibc allows; larger blocks get a memory mapping of their own."""
LOADING_MMAP_THRESHOLD_BYTES = 4 * 2**20
"""The same while a model is being loaded: weights before and after conversion differ in size, so that freed ones leave
gaps in the heap that nothing fits into. With 32 MiB loading small took up to 1,060 MiB, with 4 up to 970. With 1 MiB it
took 810, but half a second longer."""

_is_trim_disabled = False


def disable_malloc_trim() -> bool:
    """Keep freed memory in this process; return whether the allocator supports it.

    Only for this package's own programs; library users decide for themselves.
    """
    global _is_trim_disabled
    if platform.libc_ver()[0] != "glibc":
        return False
    _is_trim_disabled = _set_mmap_threshold(MMAP_THRESHOLD_BYTES) and bool(
        _libc().mallopt(_TRIM_THRESHOLD, TRIM_THRESHOLD_BYTES)
    )
    return _is_trim_disabled


@contextmanager
def returning_freed_memory() -> Iterator[None]:
    """Return large freed blocks to the operating system in this block, though :func:`disable_malloc_trim` was called.

    Without that call, or with another allocator, nothing changes.
    """
    if not _is_trim_disabled:
        yield
        return
    _set_mmap_threshold(LOADING_MMAP_THRESHOLD_BYTES)
    try:
        yield
    finally:
        _set_mmap_threshold(MMAP_THRESHOLD_BYTES)


def _set_mmap_threshold(num_bytes: int) -> bool:
    return bool(_libc().mallopt(_MMAP_THRESHOLD, num_bytes))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)
