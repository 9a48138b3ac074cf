"""Batches from process to process, as one string of bytes.

torch sends every tensor as a piece of shared memory of its own, and unpickles those in bytes forty times as slowly as
arrays; features and targets are hundreds of small tensors a batch.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np
import torch
from torch import Tensor

unpacked = pickle.loads
"""What was packed by :func:`packed`."""


def packed(batch: Any) -> bytes:
    """A batch as bytes; tensors come back equal, without what else lies in the storage that they were cut from."""
    stream = io.BytesIO()
    _Packer(stream, protocol=pickle.HIGHEST_PROTOCOL).dump(batch)
    return stream.getvalue()


class _Packer(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        if not isinstance(value, Tensor) or value.requires_grad:
            return NotImplemented
        return _tensor, (value.contiguous().view(-1).view(torch.uint8).numpy(), value.dtype, value.shape)


def _tensor(content: np.ndarray, dtype: torch.dtype, shape: torch.Size) -> Tensor:
    return torch.from_numpy(content).view(dtype).view(shape)
