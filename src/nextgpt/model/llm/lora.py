"""LoRA adapters: by peft during training, merged into the weights for inference (without peft).

On disk a layer's adapter is two tensors, ``<layer>.A`` (rank, in) and ``<layer>.B`` (out, rank); the layer computes
``W x + alpha / rank * B A x``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from nextgpt.errors import WeightsError
from nextgpt.model.llm.lora_function import use_lora_function

_PEFT_SUFFIXES = {".lora_A.default.weight": ".A", ".lora_B.default.weight": ".B"}


def inject(
    transformer: nn.Module,
    *,
    rank: int,
    alpha: float,
    dropout: float,
    targets: Sequence[str],
    first_layer: int = 0,
    seed: int = 0,
) -> None:
    """Add fresh trainable adapters to the layers named ``targets`` and freeze everything else.

    Args:
        first_layer: Blocks before this one get no adapters.
    """
    import peft

    blocks = range(first_layer, transformer.config.get_text_config().num_hidden_layers) if first_layer else None
    config = peft.LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=list(targets),
        layers_to_transform=None if blocks is None else list(blocks),
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        peft.inject_adapter_in_model(config, transformer)
    for name, parameter in transformer.named_parameters():
        parameter.requires_grad = ".lora_" in name
        if parameter.requires_grad:
            parameter.data = parameter.data.float()  # bfloat16 would round small updates away
    use_lora_function(transformer)


def adapter_state_dict(transformer: nn.Module) -> dict[str, Tensor]:
    """Return the injected adapters; empty if there are none."""
    return {
        name.removesuffix(suffix) + short: tensor.detach()
        for name, tensor in transformer.state_dict().items()
        for suffix, short in _PEFT_SUFFIXES.items()
        if name.endswith(suffix)
    }


@torch.no_grad()
def load_adapter(transformer: nn.Module, adapters: Mapping[str, Tensor]) -> None:
    """Copy saved adapters into the injected ones. Raises :class:`WeightsError` if they do not match."""
    current = adapter_state_dict(transformer)
    if current.keys() != adapters.keys():
        raise WeightsError(_mismatch(current.keys() - adapters.keys(), adapters.keys() - current.keys()))
    for name, tensor in current.items():
        tensor.copy_(adapters[name])


@torch.no_grad()
def merge(transformer: nn.Module, adapters: Mapping[str, Tensor], scale: float) -> None:
    """Add ``scale * B A`` to the weight of each adapted layer. Raises :class:`WeightsError` for an unknown layer.

    Quantized and disk-offloaded weights cannot be changed in place: there a forward hook adds the product.
    """
    layers = {name.removesuffix(".A") for name in adapters if name.endswith(".A")}
    weights = dict(transformer.named_parameters())
    missing = {f"{layer}.B" for layer in layers} - adapters.keys()
    unexpected = {layer for layer in layers if f"{layer}.weight" not in weights}
    if missing or unexpected:
        raise WeightsError(_mismatch(missing, unexpected))
    for layer in sorted(layers):
        weight, a, b = weights[f"{layer}.weight"], adapters[f"{layer}.A"], adapters[f"{layer}.B"]
        if weight.is_meta or not weight.is_floating_point():
            _add_output_hook(transformer.get_submodule(layer), a, b, scale)
            continue
        weight.add_((scale * (b.float() @ a.float())).to(weight))
        if weight.device.type == "cpu" and weight.dtype == torch.float32:
            # Column-major storage speeds up products with few rows, the common case in batched decoding.
            weight.data = weight.data.T.contiguous().T


def _add_output_hook(layer: nn.Module, a: Tensor, b: Tensor, scale: float) -> None:
    """Add the LoRA term in a forward hook, leaving the (quantized) weight unchanged."""

    def add(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        x = inputs[0].to(output.device, a.dtype)
        return output + (scale * (x @ a.to(output.device).T @ b.to(output.device).T)).to(output.dtype)

    layer.register_forward_hook(add)


def _mismatch(missing: set[str], unexpected: set[str]) -> str:
    return (
        f"The LoRA adapters do not fit this LLM. Missing: {sorted(missing) or 'none'}. "
        f"Unexpected: {sorted(unexpected) or 'none'}. Use the LLM that they were trained with."
    )
