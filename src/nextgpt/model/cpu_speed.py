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

Product = Callable[[int], object]
"""Computes one product; the number of the round selects the weights."""
DecodingDtype = Literal["float32", "bfloat16", "int8"]
TrainingDtype = Literal["float32", "bfloat16"]
DtypeName = TypeVar("DtypeName", bound=str)
_WIDTH, _HIDDEN = 768, 3072
"""Sizes of a small language model's layers."""
_NUM_TOKENS = 512
"""Tokens in one product of a training step."""
_NUM_COPIES = 16
"""Weights do not stay in the processor's caches between two tokens, so each round uses another copy."""
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
    """Return the dtype of weights with which one token per step is decoded fastest."""
    products: dict[DecodingDtype, Product] = {}
    dtypes: tuple[tuple[DecodingDtype, torch.dtype], ...] = (("float32", torch.float32), ("bfloat16", torch.bfloat16))
    for name, dtype in dtypes:
        x, weights = torch.ones(1, _WIDTH, dtype=dtype), torch.ones(_NUM_COPIES, _HIDDEN, _WIDTH, dtype=dtype)
        products[name] = lambda number, x=x, weights=weights: F.linear(x, weights[number % _NUM_COPIES])
    x, scale = torch.ones(1, _WIDTH, dtype=torch.bfloat16), torch.ones(_HIDDEN, dtype=torch.bfloat16)
    weights = torch.ones(_NUM_COPIES, _HIDDEN, _WIDTH, dtype=torch.int8)
    products["int8"] = lambda number: torch.ops.aten._weight_int8pack_mm(x, weights[number % _NUM_COPIES], scale)
    return fastest(products, 2 * _NUM_COPIES)
