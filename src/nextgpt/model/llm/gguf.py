"""Convert a GGUF file, the format of llama.cpp, into a transformers folder: weights, tokenizer, chat template.

Quantized weights become bfloat16, whose rounding is far below the quantization steps of 4-bit weights.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import torch

from nextgpt.errors import ModelError


def convert_gguf(file: Path, target: Path) -> None:
    """Write the causal LM and the tokenizer of ``file`` into the folder ``target``.

    Raises:
        ModelError: The library ``gguf`` is missing, or the file holds no causal LM that transformers supports.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        dequantized: Any = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    except (ImportError, OSError, ValueError, KeyError, RuntimeError, struct.error) as error:
        raise ModelError(
            f"{file} cannot be converted ({error}); expected the GGUF file of a causal LM. "
            "Install the converter with: pip install --no-deps gguf"
        ) from error
    # transformers refuses to save a model that it read from quantized weights, so a new one takes the weights over.
    config = dequantized.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    with torch.device("meta"):
        transformer: Any = type(dequantized)(config)
    transformer.load_state_dict(dequantized.state_dict(), assign=True)
    transformer.tie_weights()
    transformer.generation_config = dequantized.generation_config
    transformer.to(torch.bfloat16).save_pretrained(target)
    tokenizer.save_pretrained(target)
