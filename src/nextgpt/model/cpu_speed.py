"""The dtype that this processor computes fastest, measured with a few matrix products instead of CPU feature flags.

Dtypes are timed in turns on one thread, and the shortest time of each counts, so that other processes on the machine
do not change the result: a single product is shorter than a scheduler time slice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Literal, TypeVar

import torch
import torch.nn.functional as F

from nextgpt.model.fused_linear import FusedDtype, create_fused_linear, supports_fbgemm

Product = Callable[[int], object]
"""Computes one product; the number of the round selects the weights."""
DecodingDtype = Literal["float32"] | FusedDtype
TrainingDtype = Literal["float32", "bfloat16"]
DtypeName = TypeVar("DtypeName", bound=str)
_WIDTH, _HIDDEN = 768, 2048
"""Sizes of a small language model's layers."""
_BATCH_SIZES = (1, 8)
"""Rows of products in decoding: one conversation, and a batch."""
_NUM_TOKENS = 512
"""Tokens in one product of a training step."""
_NUM_COPIES = 6
"""Weights do not stay in the processor's caches between two tokens. So each round uses another copy, and all rounds
together read more than the caches hold."""
_MIN_SPEEDUP = 1.15
"""Speed-up that justifies a narrower dtype, which also rounds more."""


def fastest(products: Mapping[DtypeName, Product], num_rounds: int) -> DtypeName:
    """Return the dtype whose product is clearly faster than the wider ones'; dtypes are given from wide to narrow."""
    seconds = dict.fromkeys(products, float("inf"))
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for number in range(num_rounds):
            for name, product in products.items():
                start = time.perf_counter()
                product(number)
                seconds[name] = min(seconds[name], time.perf_counter() - start)
    finally:
        torch.set_num_threads(num_threads)
    best, *narrower = products
    for name in narrower:
        if seconds[best] > _MIN_SPEEDUP * seconds[name]:
            best = name
    return best


@cache
def fastest_training_dtype() -> TrainingDtype:
    """Return the dtype of matrix products with which many tokens at once are computed fastest."""
    products: dict[TrainingDtype, Product] = {}
    dtypes: tuple[tuple[TrainingDtype, torch.dtype], ...] = (("float32", torch.float32), ("bfloat16", torch.bfloat16))
    for name, dtype in dtypes:
        x, weight = torch.ones(_NUM_TOKENS, _WIDTH, dtype=dtype), torch.ones(_WIDTH, _WIDTH, dtype=dtype)
        products[name] = lambda _, x=x, weight=weight: F.linear(x, weight)
    return fastest(products, 8)


@cache
def fastest_decoding_dtype() -> DecodingDtype:
    """Return the number format of weights with which tokens are decoded fastest; see :mod:`.fused_linear`."""
    inputs = [torch.ones(rows, _WIDTH) for rows in _BATCH_SIZES]
    weights = torch.ones(_NUM_COPIES, _HIDDEN, _WIDTH)
    products: dict[DecodingDtype, Product] = {
        "float32": lambda number: [F.linear(x, weights[number % _NUM_COPIES]) for x in inputs]
    }
    dtypes: list[FusedDtype] = ["bfloat16", *(["int8_fbgemm"] if supports_fbgemm() else []), "int8"]
    for dtype in dtypes:
        layers = [create_fused_linear([weight], dtype=dtype) for weight in weights]
        products[dtype] = lambda number, layers=layers: [layers[number % _NUM_COPIES](x) for x in inputs]
    with torch.inference_mode():
        return fastest(products, 2 * _NUM_COPIES)
