"""Low-rank adapters: by peft while training, merged into the weights to answer, so that peft is not needed then.

On disk a layer's adapter is two tensors, ``<layer>.A`` (rank, in) and ``<layer>.B`` (out, rank); the layer computes
``W x + alpha / rank * B A x``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from nextgpt.errors import WeightsError

_PEFT_SUFFIXES = {".lora_A.default.weight": ".A", ".lora_B.default.weight": ".B"}


def inject(
    transformer: nn.Module, *, rank: int, alpha: float, dropout: float, targets: Sequence[str], seed: int = 0
) -> None:
    """Give the layers named ``targets`` fresh trainable adapters that change nothing yet, and freeze the rest."""
    import peft

    settings = peft.LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=list(targets))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        peft.inject_adapter_in_model(settings, transformer)
    for name, parameter in transformer.named_parameters():
        parameter.requires_grad = ".lora_" in name
        if parameter.requires_grad:
            parameter.data = (
                parameter.data.float()
            )  # beside weights in bfloat16, small steps would be rounded away


def adapter_state_dict(transformer: nn.Module) -> dict[str, Tensor]:
    """The adapters of a transformer into which they were injected; empty where there are none."""
    return {
        name.removesuffix(suffix) + short: tensor.detach()
        for name, tensor in transformer.state_dict().items()
        for suffix, short in _PEFT_SUFFIXES.items()
        if name.endswith(suffix)
    }


@torch.no_grad()
def load_adapter(transformer: nn.Module, adapters: Mapping[str, Tensor]) -> None:
    """Fill injected adapters with saved ones. Raises :class:`WeightsError` where the two do not match."""
    own = adapter_state_dict(transformer)
    if own.keys() != adapters.keys():
        raise WeightsError(_mismatch(own.keys() - adapters.keys(), adapters.keys() - own.keys()))
    for name, tensor in own.items():
        tensor.copy_(adapters[name])


@torch.no_grad()
def merge(transformer: nn.Module, adapters: Mapping[str, Tensor], scale: float) -> None:
    """Add ``scale * B A`` to each adapted layer's weight. Raises :class:`WeightsError` for an unknown layer.

    Quantised weights, and those that were left on disk, take no sum: there the adapter works beside the layer.
    """
    layers = {name.removesuffix(".A") for name in adapters if name.endswith(".A")}
    weights = dict(transformer.named_parameters())
    missing = {f"{layer}.B" for layer in layers} - adapters.keys()
    unexpected = {layer for layer in layers if f"{layer}.weight" not in weights}
    if missing or unexpected:
        raise WeightsError(_mismatch(missing, unexpected))
    for layer in sorted(layers):
        weight = weights[f"{layer}.weight"]
        if weight.is_meta or not weight.is_floating_point():
            _add_output_hook(
                transformer.get_submodule(layer), adapters[f"{layer}.A"], adapters[f"{layer}.B"], scale
            )
            continue
        product = adapters[f"{layer}.B"].float() @ adapters[f"{layer}.A"].float()
        weight.add_((scale * product).to(weight))
        if weight.device.type == "cpu" and weight.dtype == torch.float32:
            # The same weight, its columns one after another: so products with few rows are faster, which is what
            # answering several conversations is made of.
            weight.data = weight.data.T.contiguous().T


def _add_output_hook(layer: nn.Module, a: Tensor, b: Tensor, scale: float) -> None:
    """Let a layer say ``W x + scale * B A x`` with its weight as it is."""

    def add(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        heard = inputs[0].to(output.device, a.dtype)
        return output + (scale * (heard @ a.to(output.device).T @ b.to(output.device).T)).to(output.dtype)

    layer.register_forward_hook(add)


def _mismatch(missing: set[str], unexpected: set[str]) -> str:
    return (
        f"The LoRA adapters do not fit this LLM. Missing: {sorted(missing) or 'none'}. "
        f"Unexpected: {sorted(unexpected) or 'none'}. Use the LLM that they were trained with."
    )
