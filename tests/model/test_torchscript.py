"""Modules run as TorchScript where it works, and as they are where it does not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from nextgpt.model.fused_linear import FusedDtype, create_fused_linear, supports_fbgemm
from nextgpt.model.torchscript import script_or_eager


class Untyped(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + sum(value for value in {1, 2})  # TorchScript has no sets


def test_a_module_that_torchscript_cannot_compile_runs_as_it_is() -> None:
    module = script_or_eager(Untyped())
    assert not isinstance(module, torch.jit.ScriptModule)
    assert module(torch.zeros(2)).tolist() == [3, 3]


@pytest.mark.parametrize("dtype", ["bfloat16", "int8", "int8_fbgemm"])
@pytest.mark.parametrize("rows", [1, 3, 20])
@pytest.mark.parametrize("is_normalized", [False, True])
def test_fused_layers_are_compiled_and_compute_the_same(dtype: FusedDtype, rows: int, is_normalized: bool) -> None:
    if dtype == "int8_fbgemm" and not supports_fbgemm():
        pytest.skip("this build of torch has no FBGEMM kernels")
    generator = torch.Generator().manual_seed(0)
    weight, x = (torch.randn(size, 64, generator=generator) for size in (32, rows))
    norm = torch.rand(64, generator=generator) + 0.5 if is_normalized else None
    layer = create_fused_linear([weight], dtype=dtype, norm=norm, eps=1e-5)
    compiled = script_or_eager(layer)
    assert isinstance(compiled, torch.jit.ScriptModule)
    residual = torch.ones(rows, 32, dtype=layer.activation_dtype)
    with torch.inference_mode():
        for _ in range(3):  # TorchScript optimizes in the first calls
            torch.testing.assert_close(compiled(x), layer(x))
            torch.testing.assert_close(compiled(x, residual.clone()), layer(x, residual.clone()))
