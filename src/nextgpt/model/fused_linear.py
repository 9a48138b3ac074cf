"""Frozen linear layers for decoding on a CPU, in the number format that the processor computes fastest.

Decoding one token per step is bound by reading the weights, so half the bytes take half the time. Which products are
fast depends on the processor: those with bfloat16 units compute ``bfloat16`` and ``int8``, which converts weights to
bfloat16 one by one. Others emulate bfloat16; there ``int8_fbgemm`` multiplies integers (FBGEMM, arXiv 2101.05615).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Literal, no_type_check

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int8
from torch import Tensor, nn

FusedDtype = Literal["bfloat16", "int8", "int8_fbgemm"]
"""Number format of a fused layer: bfloat16; int8 weights with bfloat16 activations; int8 weights and activations."""
MAX_ROWS_INT8 = 12
"""Rows up to which the kernel of ``int8`` is used; for more, converting all weights to bfloat16 first is faster."""
_MAX_INT8 = 127
_QUANTIZED_ROWS = 4096
"""Rows that are quantized at once; a whole head in float32 would take the most memory of a small model."""
_MIN_SCALE = 1e-12
"""Scale of an output whose weights are all zero."""


class FusedLinear(nn.Module):
    """Linear layers of one input as one product, with the RMS norm before it and the residual after it.

    TorchScript compiles these modules (:mod:`.torchscript`), so their signatures have plain types.
    """

    activation_dtype: torch.dtype

    @no_type_check
    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """Return the products with all weights side by side, plus the residual.

        Shapes: ``x`` (rows, in_features); ``residual`` and the result (rows, out_features).
        """
        raise NotImplementedError


def create_fused_linear(
    weights: Sequence[Float[Tensor, "_ in_features"]],
    *,
    dtype: FusedDtype,
    norm: Float[Tensor, " in_features"] | None = None,
    eps: float = 0.0,
) -> FusedLinear:
    """Return the layer of float weights (out, in).

    Args:
        norm: Weight of the RMS norm before the layer; None for no norm.
        eps: Added to the mean square by the norm.
    """
    weight = torch.cat([weight.detach() for weight in weights]) if len(weights) > 1 else weights[0].detach()
    if dtype == "int8_fbgemm":
        return FbgemmLinear(weight, norm, eps)
    cls = BFloat16Linear if dtype == "bfloat16" else Int8WeightLinear
    return cls(weight, norm, eps)


def supports_fbgemm() -> bool:
    """Return whether this build of torch has the kernels of :class:`FbgemmLinear`."""
    return torch.backends.quantized.engine in ("x86", "fbgemm") and hasattr(torch.ops.quantized, _FBGEMM_LINEAR)


class BFloat16Linear(FusedLinear):
    """Weights and activations in bfloat16."""

    activation_dtype = torch.bfloat16

    def __init__(self, weight: Tensor, norm: Tensor | None, eps: float) -> None:
        super().__init__()
        self._norm = None if norm is None else norm.detach().bfloat16()
        self._eps = eps
        self._set_weight(weight)

    def _set_weight(self, weight: Tensor) -> None:
        self._weight = weight.bfloat16()

    @no_type_check  # TorchScript cannot compile functions that a type checker wraps
    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """Return the products in bfloat16; see :meth:`FusedLinear.forward`."""
        x = x.to(torch.bfloat16)
        if self._norm is not None:
            x = torch.rms_norm(x, [x.shape[-1]], self._norm, self._eps)
        y = self._product(x)
        return y if residual is None else residual + y

    @no_type_check
    def _product(self, x: Tensor) -> Tensor:
        return F.linear(x, self._weight)


class Int8WeightLinear(BFloat16Linear):
    """Weights in int8 with one scale per output, activations in bfloat16."""

    def _set_weight(self, weight: Tensor) -> None:
        self._weight, self._scale = _quantize(weight, torch.bfloat16)
        self._max_rows = MAX_ROWS_INT8

    @no_type_check
    def _product(self, x: Tensor) -> Tensor:
        if x.shape[0] <= self._max_rows:
            return torch._weight_int8pack_mm(x, self._weight, self._scale)
        return F.linear(x, self._weight.to(x.dtype)) * self._scale


_FBGEMM_LINEAR = "linear_with_input_q_dq_qweight_dq_output_fp32"
"""Name of torch's operator: quantize the input with a given scale, multiply integers, return float32."""
_MAX_DIGIT = 63
"""Digits are -63 to 63. With the zero point they are 7-bit, so that FBGEMM's 16-bit sums of two products cannot
overflow on processors without VNNI."""
_RADIX = 2 * _MAX_DIGIT
_ZERO_POINT = 64


class FbgemmLinear(FusedLinear):
    """Weights in int8 with one scale per output, activations as two digits to the base 126, outside float32.

    Quantizing activations to 8 bits would cost accuracy. As two digits, ``high + low / 126``, they have 14 bits. Both
    digits are rows of the same product, which takes hardly longer, as it is bound by reading the weights::

        x / rms(x) * 63 / sqrt(K)  =  2.608  =  3 - 49.4 / 126     rows of the product:  3, -49

    A row's mean square bounds its values, so the layer norm of ``[x, -x]``, whose mean is zero, is both the RMS norm
    and the scaling. Each row has its own scale: but for rounding in float32, results do not depend on the other rows.
    """

    activation_dtype = torch.float32

    def __init__(self, weight: Tensor, norm: Tensor | None, eps: float) -> None:
        super().__init__()
        self._width = weight.shape[1]
        self._is_normalized = norm is not None
        self._eps = eps if norm is not None else _MIN_SCALE
        gain = torch.ones(self._width) if norm is None else norm.detach().float()
        max_value = float(gain.abs().max().clamp(min=_MIN_SCALE)) * self._width**0.5
        high = gain * (_MAX_DIGIT / max_value)
        self._factors = torch.stack([high, -_RADIX * high])  # (2, K)
        self._packed = _pack(weight, max_value / _MAX_DIGIT)
        self._radix, self._zero_point = _RADIX, _ZERO_POINT
        self._signs = torch.tensor([[1.0], [-1.0]])
        self._place_values = torch.tensor([[1.0, 1 / _RADIX]])  # of the two digits, relative to the first

    @no_type_check
    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """Return the products in float32; see :meth:`FusedLinear.forward`."""
        is_row = x.shape[0] == 1  # then fewer operations do the same; at one row they take as long as the product
        pairs = (x if is_row else x.unsqueeze(1)) * self._signs  # (2, K) or (rows, 2, K)
        digits, _, inverse_rms = torch.native_layer_norm(pairs, [2, self._width], self._factors, None, self._eps)
        high, low = digits.unbind(-2)
        low.sub_(high.round_(), alpha=self._radix)
        products = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(
            digits if is_row else digits.flatten(0, 1), 1.0, self._zero_point, self._packed
        )
        if is_row:
            place_values = self._place_values if self._is_normalized else self._place_values / inverse_rms
            return place_values.mm(products) if residual is None else torch.addmm(residual, place_values, products)
        high_products, low_products = products.unflatten(0, [-1, 2]).unbind(1)
        y = torch.add(high_products, low_products, alpha=1 / self._radix)
        if not self._is_normalized:
            y.div_(inverse_rms.squeeze(-1))
        return y if residual is None else y.add_(residual)


def _quantize(
    weight: Float[Tensor, "out_features in_features"], scale_dtype: torch.dtype
) -> tuple[Int8[Tensor, "out_features in_features"], Float[Tensor, " out_features"]]:
    """Return int8 weights and one scale per output, with which its largest weight is 127."""
    parts = [_quantize_rows(rows.to(torch.float32, copy=True), scale_dtype) for rows in weight.split(_QUANTIZED_ROWS)]
    quantized, scales = zip(*parts, strict=True)
    return torch.cat(quantized), torch.cat(scales)


def _quantize_rows(rows: Tensor, scale_dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    largest = torch.maximum(rows.amax(dim=1), -rows.amin(dim=1))
    scales = (largest / _MAX_INT8).clamp(min=_MIN_SCALE).to(scale_dtype)
    return rows.div_(scales.float()[:, None]).round_().clamp_(-_MAX_INT8, _MAX_INT8).to(torch.int8), scales


def _pack(weight: Float[Tensor, "out_features in_features"], input_scale: float) -> torch.ScriptObject:
    """Quantize weights and arrange them for FBGEMM; its outputs are multiplied by ``input_scale``."""
    quantized, scales = _quantize(weight, torch.float32)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*quantized tensor creation functions", category=UserWarning)
        zero_points = torch.zeros(len(scales), dtype=torch.int32)
        tensor = torch._make_per_channel_quantized_tensor(quantized, scales * input_scale, zero_points, 0)
    return torch.ops.quantized.linear_prepack(tensor, None)
