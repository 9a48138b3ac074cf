"""Components of nano's synthesizers that are implemented in this package, so that answers need no diffusers.

Importing diffusers takes longer than answering. Each class reads the folder of the library's class that it replaces,
and computes the same; other configs of that class are left to the library.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nextgpt.model.safetensors_io import check_state_dict, read_safetensors, without_weights
from nextgpt.model.synthesis import cogvideox
from nextgpt.model.synthesis.native_config import NativeConfig
from nextgpt.model.synthesis.patch_network import PatchNetwork

WEIGHTS_FILE = "diffusion_pytorch_model.safetensors"
_PATCH_SETTINGS = ("in_channels", "latent_channels", "widths", "encoder_layers", "decoder_layers", "output_scale")


@dataclass(frozen=True)
class _NativeClass:
    create: Callable[[Mapping[str, Any]], nn.Module]
    is_supported: Callable[[Mapping[str, Any]], bool]


NATIVE_CLASSES: Mapping[str, _NativeClass] = {
    "CogVideoXTransformer3DModel": _NativeClass(cogvideox.CogVideoX, cogvideox.is_supported),
    "PatchAutoencoder": _NativeClass(
        lambda config: PatchNetwork(**{name: config[name] for name in _PATCH_SETTINGS if name in config}),
        lambda config: True,
    ),
}
"""Classes of this package by the class name in ``model_index.json``."""


def load_native_component(
    component_dir: Path, class_name: str, config: Mapping[str, Any], *, dtype: torch.dtype
) -> nn.Module | None:
    """Load a component with its weights, or return None if the library is needed.

    Raises:
        WeightsError: The weights are damaged or do not fit the config.
    """
    native, path = NATIVE_CLASSES.get(class_name), component_dir / WEIGHTS_FILE
    if native is None or not native.is_supported(config) or not path.is_file():
        return None
    with without_weights():
        module = native.create(config)
    with torch.inference_mode(False):  # a reply may load the weights, and training use them later
        tensors = read_safetensors(path)
        check_state_dict(path, tensors, module.state_dict())
        module.load_state_dict({name: tensor.to(dtype) for name, tensor in tensors.items()}, assign=True)
    module.config = NativeConfig(config)
    return module
