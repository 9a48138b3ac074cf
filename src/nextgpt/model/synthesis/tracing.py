"""Small denoisers without Python between their layers.

Where a layer takes microseconds, Python takes as long as the layers do, and holds up the other threads of a server.
A traced denoiser computes the same, bit for bit, in one call; only GELU in bfloat16 is computed as it is defined, not
by its usual approximation.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from nextgpt.model.components import LOAD_LOCK


class _DenoiserModule(nn.Module):
    """``predict`` of one denoiser as a module, which is what can be traced."""

    def __init__(self, denoiser: nn.Module, predict: Callable[..., Tensor]) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.predict = predict

    def forward(self, *given: Tensor) -> Tensor:
        return self.predict(self.denoiser, *given)


class TracedDenoiser:
    """Traces a denoiser when it is first called, and again where another one or another shape comes."""

    def __init__(self, predict: Callable[..., Tensor]) -> None:
        self._predict = predict
        self._known: tuple[nn.Module, tuple[Any, ...], Callable[..., Tensor]] | None = None

    def __call__(self, denoiser: nn.Module, *given: Tensor) -> Tensor:
        """What ``predict`` says."""
        kind = tuple((tensor.shape[1:], tensor.dtype, tensor.device) for tensor in given)
        if self._known is None or self._known[0] is not denoiser or self._known[1] != kind:
            self._known = denoiser, kind, self._trace(denoiser, given)
        return self._known[2](*given)

    def _trace(self, denoiser: nn.Module, given: tuple[Tensor, ...]) -> Callable[..., Tensor]:
        with LOAD_LOCK, warnings.catch_warnings(), _erf_gelu(denoiser):  # torch traces one thing at a time
            warnings.simplefilter("ignore")  # shapes but for the batch are constants, as they are meant to be
            return torch.jit.trace(_DenoiserModule(denoiser, self._predict), given, check_trace=False)


@contextmanager
def _erf_gelu(denoiser: nn.Module) -> Iterator[None]:
    """GELUs in bfloat16 by the error function meanwhile.

    Their approximation by tanh is at most 5e-4 away, which bfloat16 hardly tells apart, and on CPUs four times as slow.
    """
    from diffusers.models.activations import GELU

    gelus = [
        module
        for module in denoiser.modules()
        if isinstance(module, GELU)
        and module.approximate == "tanh"
        and module.proj.weight.dtype == torch.bfloat16
    ]
    for gelu in gelus:
        gelu.approximate = "none"
    try:
        yield
    finally:
        for gelu in gelus:
            gelu.approximate = "tanh"
