"""Attention in float32 while everything around it is in bfloat16, which is what a CPU does fastest.

PyTorch's fused attention on CPUs is about four times slower in bfloat16 than in float32 at the head sizes of small
models, while matrix products are several times faster; autocast would put both in bfloat16.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedModel

_attention = F.scaled_dot_product_attention


def float32_scaled_dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, *args: object, **kwargs: object
):
    """:func:`torch.nn.functional.scaled_dot_product_attention` in float32, the result in the type of ``query``."""
    with torch.autocast(query.device.type, enabled=False):
        return _attention(query.float(), key.float(), value.float(), *args, **kwargs).to(query.dtype)


def compile_for_training(transformer: PreTrainedModel) -> None:
    """Compile a language model for batches of any length.

    Compiled, attention by matrix products in bfloat16 beats the fused kernel, which CPUs lack in bfloat16.
    """
    transformer.set_attn_implementation("eager")
    transformer.base_model.compile(dynamic=True)


@contextmanager
def float32_attention() -> Iterator[None]:
    """Within the context every fused attention runs in float32."""
    with mock.patch.object(F, "scaled_dot_product_attention", float32_scaled_dot_product_attention):
        yield
