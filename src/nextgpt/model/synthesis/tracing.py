"""Trace small denoisers with TorchScript, to avoid Python overhead between layers.

Python overhead is as long as layers of microseconds, and it holds the interpreter lock. A traced denoiser gives
bit-equal results in one call. Tracing takes as long as about twenty plain calls, so the first ones are plain.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from nextgpt.model.components import LOAD_LOCK
from nextgpt.model.synthesis.cogvideox import GELU

PLAIN_CALLS = 12
"""Two media of nano; a short chat needs no more."""


class _DenoiserModule(nn.Module):
    """A denoiser with its ``predict`` function as one module, for tracing."""

    def __init__(self, denoiser: nn.Module, predict: Callable[..., Tensor]) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.predict = predict

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.predict(self.denoiser, *inputs)


class TracedDenoiser:
    """Calls a denoiser, traced after its first calls; again for another denoiser or other shapes.

    GELU in bfloat16 is exact instead of approximated, in plain and in traced calls.

    Args:
        plain_calls: Number of calls before the trace.
    """

    def __init__(self, predict: Callable[..., Tensor], *, plain_calls: int = PLAIN_CALLS) -> None:
        self._predict = predict
        self._plain_calls = plain_calls
        self._key: tuple[nn.Module, tuple[Any, ...]] | None = None
        self._num_calls = 0
        self._traced: Callable[..., Tensor] | None = None

    def __call__(self, denoiser: nn.Module, *inputs: Tensor) -> Tensor:
        """Return the prediction."""
        signature = tuple((tensor.shape[1:], tensor.dtype, tensor.device) for tensor in inputs)
        if self._key is None or self._key[0] is not denoiser or self._key[1] != signature:
            self._key, self._num_calls, self._traced = (denoiser, signature), 0, None
        self._num_calls += 1
        if self._num_calls <= self._plain_calls:
            with _erf_gelu(denoiser):
                return self._predict(denoiser, *inputs)
        if self._traced is None:
            self._traced = self._trace(denoiser, inputs)
        return self._traced(*inputs)

    def _trace(self, denoiser: nn.Module, inputs: tuple[Tensor, ...]) -> Callable[..., Tensor]:
        with LOAD_LOCK, warnings.catch_warnings(), _erf_gelu(denoiser):  # tracing is not thread-safe
            warnings.simplefilter("ignore")  # shapes other than the batch size are constants on purpose
            return torch.jit.trace(_DenoiserModule(denoiser, self._predict), inputs, check_trace=False)


@contextmanager
def _erf_gelu(denoiser: nn.Module) -> Iterator[None]:
    """Switch bfloat16 GELUs from the tanh approximation to the error function.

    The results differ by at most 5e-4, close to the precision of bfloat16; on CPUs the approximation is four times as
    slow.
    """
    gelus = [
        module
        for module in denoiser.modules()
        if isinstance(module, GELU) and module.approximate == "tanh" and module.proj.weight.dtype == torch.bfloat16
    ]
    for gelu in gelus:
        gelu.approximate = "none"
    try:
        yield
    finally:
        for gelu in gelus:
            gelu.approximate = "tanh"
