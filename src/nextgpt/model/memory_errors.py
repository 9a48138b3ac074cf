"""Tell a lack of memory from damaged weights: torch and transformers raise ``RuntimeError`` for both."""

from __future__ import annotations

from pathlib import Path

import torch

from nextgpt.errors import ModelError


def raise_if_out_of_memory(error: BaseException, folder: Path) -> None:
    """Raise :class:`ModelError` if the weights in ``folder`` did not fit into memory; otherwise return."""
    is_allocation = isinstance(error, RuntimeError) and "memory" in str(error).lower()
    if is_allocation or isinstance(error, MemoryError | torch.OutOfMemoryError):
        raise ModelError(
            f"{folder} does not fit into the memory; expected enough for its weights. Use a smaller dtype, "
            "--max-memory or another device, and end other programs."
        ) from error
