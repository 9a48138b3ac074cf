"""LoRA layers as one autograd function each, for training on CPUs.

peft computes an adapted layer by separate operations on activations: casts to the adapter's dtype and back, two thin
products, a scaling and an addition, each with its own backward pass. At the width of a small LLM they take as long as
the products with the frozen weight. Here everything is computed in the dtype of that weight, in place where possible.
"""

from __future__ import annotations

from types import MethodType

import torch
from torch import Tensor, nn


class _LoraFunction(torch.autograd.Function):
    """``y = x W^T + scale * x A^T B^T`` with gradients for x, A and B; W is frozen."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None, a: Tensor, b: Tensor, scale: float) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        low = rows @ a.T  # (T, r)
        output = rows @ weight.T if bias is None else torch.addmm(bias, rows, weight.T)
        output.addmm_(low, b.T, alpha=scale)
        ctx.save_for_backward(rows, low, weight, a, b)
        ctx.scale, ctx.x_shape = scale, x.shape
        return output.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx, gradient: Tensor):  # pyright: ignore[reportIncompatibleMethodOverride]
        rows, low, weight, a, b = ctx.saved_tensors
        gradient = gradient.reshape(-1, gradient.shape[-1])
        low_gradient = gradient @ b  # (T, r)
        a_gradient = (low_gradient.T @ rows).mul_(ctx.scale)
        b_gradient = (gradient.T @ low).mul_(ctx.scale)
        x_gradient = None
        if ctx.needs_input_grad[0]:
            x_gradient = gradient @ weight
            x_gradient.addmm_(low_gradient, a, alpha=ctx.scale)
            x_gradient = x_gradient.view(*ctx.x_shape)
        return x_gradient, None, None, a_gradient, b_gradient, None


def use_lora_function(transformer: nn.Module) -> None:
    """Let adapted layers of peft with plain weights on the CPU, and without dropout, compute by one function each."""
    from peft.tuners.lora.layer import Linear

    for layer in transformer.modules():
        if isinstance(layer, Linear) and _is_plain(layer):
            layer.forward = MethodType(_forward, layer)


def _is_plain(layer: nn.Module) -> bool:
    base, (dropout,) = layer.base_layer, layer.lora_dropout.values()
    return (
        type(base) is nn.Linear
        and base.weight.is_floating_point()
        and base.weight.device.type == "cpu"
        and isinstance(dropout, nn.Identity)
    )


def _forward(layer: nn.Module, x: Tensor) -> Tensor:
    weight, bias = layer.base_layer.weight, layer.base_layer.bias
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else weight.dtype
    (name,) = layer.active_adapters
    a, b = layer.lora_A[name].weight.to(dtype), layer.lora_B[name].weight.to(dtype)
    bias = None if bias is None else bias.to(dtype)
    return _LoraFunction.apply(x.to(dtype), weight.to(dtype), bias, a, b, layer.scaling[name])
