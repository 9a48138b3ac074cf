"""Trace small denoisers with TorchScript, to avoid Python overhead between layers.

Python overhead is as long as layers of microseconds, and it holds the interpreter lock. A traced denoiser gives
bit-equal results in one call, except that GELU in bfloat16 is exact instead of approximated.
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


class _DenoiserModule(nn.Module):
    """A denoiser with its ``predict`` function as one module, for tracing."""

    def __init__(self, denoiser: nn.Module, predict: Callable[..., Tensor]) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.predict = predict

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.predict(self.denoiser, *inputs)


class TracedDenoiser:
    """Traces a denoiser at its first call, and again for another denoiser or other shapes."""

    def __init__(self, predict: Callable[..., Tensor]) -> None:
        self._predict = predict
        self._cached: tuple[nn.Module, tuple[Any, ...], Callable[..., Tensor]] | None = None

    def __call__(self, denoiser: nn.Module, *inputs: Tensor) -> Tensor:
        """Return the prediction."""
        signature = tuple((tensor.shape[1:], tensor.dtype, tensor.device) for tensor in inputs)
        if self._cached is None or self._cached[0] is not denoiser or self._cached[1] != signature:
            self._cached = denoiser, signature, self._trace(denoiser, inputs)
        return self._cached[2](*inputs)

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
