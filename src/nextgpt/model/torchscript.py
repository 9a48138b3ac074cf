"""TorchScript: operations of a module without Python between them.

A product with one row takes about as long as the Python around it. TorchScript is deprecated in favor of
``torch.compile``, which needs a C++ compiler where the model runs; so a module that cannot be scripted runs as it is.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

_log = logging.getLogger(__name__)


def script_or_eager(module: nn.Module) -> Callable[..., Any]:
    """Return ``module`` as TorchScript, or itself if this version of torch cannot compile it."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=DeprecationWarning)
            warnings.filterwarnings("ignore", category=FutureWarning)
            return torch.jit.script(module.eval())
    except Exception as error:  # of many kinds: TorchScript's parser, its types, versions of Python without it
        _log.info("TorchScript is not available, decoding is slower: %s", error)
        return module
