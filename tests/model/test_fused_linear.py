"""All number formats compute the same layer; the integer format never loses small values or mixes rows."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from nextgpt.model.fused_linear import MAX_ROWS_INT8, FusedDtype, create_fused_linear, supports_fbgemm

DTYPES = ("bfloat16", "int8", *(["int8_fbgemm"] if supports_fbgemm() else []))
needs_fbgemm = pytest.mark.skipif(not supports_fbgemm(), reason="this build of torch has no FBGEMM")


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def relative_error(actual: torch.Tensor, expected: torch.Tensor) -> float:
    return float((actual.float() - expected).norm() / expected.norm())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [1, MAX_ROWS_INT8, MAX_ROWS_INT8 + 1])
def test_products_are_close_for_few_and_many_rows(dtype: FusedDtype, rows: int) -> None:
    weight, x = random(64, 48), random(rows, 48, seed=1)
    layer = create_fused_linear([weight[:40], weight[40:]], dtype=dtype)
    assert relative_error(layer(x), x @ weight.T) < 0.02


@pytest.mark.parametrize("dtype", DTYPES)
def test_norm_and_residual_belong_to_the_layer(dtype: FusedDtype) -> None:
    weight, x, norm, residual = random(64, 48), random(3, 48, seed=1), random(48, seed=2), random(3, 64, seed=3)
    x[1] *= 1e-3  # so small that eps counts
    expected = F.rms_norm(x, (48,), norm, 1e-5) @ weight.T
    layer = create_fused_linear([weight], dtype=dtype, norm=norm, eps=1e-5)
    for row in range(3):
        assert relative_error(layer(x)[row], expected[row]) < 0.02
    torch.testing.assert_close(layer(x, residual).float(), layer(x).float() + residual, atol=0.1, rtol=0.02)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_weights_of_the_caller_stay(dtype: FusedDtype) -> None:
    weight = random(64, 48)
    create_fused_linear([weight], dtype=dtype)
    torch.testing.assert_close(weight, random(64, 48), atol=0, rtol=0)


@needs_fbgemm
def test_activations_have_more_than_eight_bits() -> None:
    weight = random(64, 256).sign() * 127.0  # exact in int8, and as large as it gets
    x = random(4, 256, seed=1)
    x[:, 7] = 100.0  # 8 bits would leave steps of 0.8
    assert relative_error(create_fused_linear([weight], dtype="int8_fbgemm")(x), x @ weight.T) < 0.002
    others = x.clone()
    others[:, 7] = 0
    changes = create_fused_linear([weight], dtype="int8_fbgemm")(x) - 100 * weight[:, 7]
    assert relative_error(changes, others @ weight.T) < 0.02


@needs_fbgemm
def test_the_largest_products_do_not_overflow() -> None:
    weight = torch.full((8, 64), 127.0)
    for count in (1, 2, 64):
        x = torch.zeros(1, 64)
        x[0, :count] = 5.0
        actual = create_fused_linear([weight], dtype="int8_fbgemm")(x)
        torch.testing.assert_close(actual, x @ weight.T, rtol=1e-3, atol=0)


@needs_fbgemm
def test_a_row_does_not_depend_on_the_others() -> None:
    layer = create_fused_linear([random(64, 48)], dtype="int8_fbgemm")
    rows = random(5, 48, seed=1) * torch.tensor([[1e-4], [1.0], [1e4], [0.0], [3.0]])
    together = layer(rows)
    # One row takes other operations, which may round the last bit of float32 differently.
    for row, expected in zip(rows, together, strict=True):
        torch.testing.assert_close(layer(row[None])[0], expected, rtol=1e-5, atol=1e-6 * float(expected.abs().max()))
    torch.testing.assert_close(layer(rows[1:3]), together[1:3], rtol=0, atol=0)
    assert torch.equal(together[3], torch.zeros(64))
