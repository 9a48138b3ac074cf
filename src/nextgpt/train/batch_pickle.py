"""Serialization of batches between processes.

torch sends each tensor as a separate piece of shared memory, and unpickles tensors in bytes forty times as slowly as
arrays; a batch holds hundreds of small tensors of features and targets.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np
import torch
from torch import Tensor

loads = pickle.loads
"""Invert :func:`dumps`."""


def dumps(batch: Any) -> bytes:
    """Serialize a batch; tensors are stored without the rest of the storage that they are views of."""
    stream = io.BytesIO()
    _Pickler(stream, protocol=pickle.HIGHEST_PROTOCOL).dump(batch)
    return stream.getvalue()


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        if not isinstance(value, Tensor) or value.requires_grad:
            return NotImplemented
        return _tensor, (value.contiguous().view(-1).view(torch.uint8).numpy(), value.dtype, value.shape)


def _tensor(content: np.ndarray, dtype: torch.dtype, shape: torch.Size) -> Tensor:
    return torch.from_numpy(content).view(dtype).view(shape)
