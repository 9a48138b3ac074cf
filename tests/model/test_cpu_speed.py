"""The fastest dtype is measured, and a narrower one must be clearly faster."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from nextgpt.model import cpu_speed
from nextgpt.model.cpu_speed import fastest_decoding_dtype, fastest_training_dtype


class Clock:
    """A clock that advances with each product."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now

    def product(self, *milliseconds: float) -> cpu_speed.Product:
        def work(number: int) -> None:
            self.now += milliseconds[number % len(milliseconds)] / 1000

        return work


@pytest.mark.parametrize(
    ("times", "fastest"),
    [
        ([[6], [2]], "bfloat16"),
        ([[4.0], [3.8]], "float32"),
        ([[9], [6], [3]], "int8"),
        ([[9], [3], [2.9]], "bfloat16"),
        ([[2, 2, 2, 2], [30, 1, 1, 1]], "bfloat16"),  # one slow round does not count
    ],
)
def test_a_narrower_dtype_must_be_clearly_faster(
    times: Sequence[Sequence[float]], fastest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(cpu_speed, "time", clock)
    names = ("float32", "bfloat16", "int8")
    products = {name: clock.product(*row) for name, row in zip(names, times, strict=False)}
    threads = torch.get_num_threads()
    assert cpu_speed.fastest(products, 4) == fastest
    assert torch.get_num_threads() == threads


def test_this_processor_is_timed() -> None:
    assert fastest_decoding_dtype() in ("float32", "bfloat16", "int8", "int8_fbgemm")
    assert fastest_training_dtype() in ("float32", "bfloat16")
