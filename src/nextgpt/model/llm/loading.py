"""Read and write the folder of a language model: that of transformers, with its tokenizer, and nothing else."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from nextgpt.errors import ModelError, WeightsError
from nextgpt.model.llm.language_model import LanguageModel
from nextgpt.model.llm.template import PromptTemplate, create_template
from nextgpt.model.memory_plan import AUTO_DEVICE_MAPS, QUANTIZED_DTYPES

_UNSUPPORTED_LOGIT_SCALING = ("final_logit_softcapping", "logits_scaling", "logit_scale")
"""Settings of LLMs that change their logits after the last layer, which signal tokens would not go through."""


def load_language_model(
    folder: Path,
    *,
    template: str | PromptTemplate,
    soft_tokens: int,
    context_length: int | None = None,
    dtype: str | torch.dtype = torch.float32,
    device: str = "cpu",
) -> LanguageModel:
    """Read a causal LM and its tokenizer; its own weights are frozen, the signal tokens' rows are fresh.

    Args:
        dtype: One of torch, or ``int8`` or ``int4`` for linear layers quantised by bitsandbytes.
        device: A device, or a way of accelerate to spread layers (``auto``, ``balanced``, ``sequential``).

    Raises:
        ModelError: The folder holds no causal LM or no tokenizer, or one of a kind that cannot be extended.
        WeightsError: Weights are damaged, missing or too many; each is named.
    """
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"{folder} has no config.json; expected a causal LM saved by transformers. Fetch the model again."
        )

    def load() -> PreTrainedModel:
        return (
            _load_transformer(folder, str(dtype).removeprefix("torch."), device).requires_grad_(False).eval()
        )

    transformer = load()
    tokenizer = _load_tokenizer(folder)
    llm = LanguageModel(
        transformer,
        tokenizer,
        create_template(template, tokenizer),
        soft_tokens=soft_tokens,
        context_length=context_length or transformer.config.get_text_config().max_position_embeddings,
        load=load,
    )
    return llm.eval()


def save_language_model(llm: LanguageModel, folder: Path) -> None:
    """Write the transformer and its tokenizer as transformers would."""
    llm.transformer.save_pretrained(folder)
    llm.tokenizer.hf_tokenizer.save_pretrained(folder)


def _load_transformer(folder: Path, dtype: str, device: str) -> PreTrainedModel:
    options = {} if device == "cpu" and dtype not in QUANTIZED_DTYPES else _device_map_options(device)
    if dtype in QUANTIZED_DTYPES:
        options |= {"quantization_config": _quantization_config(dtype), "dtype": torch.bfloat16}
    try:
        transformer, report = AutoModelForCausalLM.from_pretrained(
            folder, output_loading_info=True, local_files_only=True, use_safetensors=True,
            **({"dtype": getattr(torch, dtype, None)} | options),
        )  # fmt: skip
    except (SafetensorError, RuntimeError) as error:
        raise WeightsError(
            f"The weights in {folder} are damaged ({error}); expected whole safetensors files that fit the config.json "
            "beside them. Fetch the model again."
        ) from error
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"{folder} cannot be read ({error}); expected a causal LM saved by transformers. Fetch the model again."
        ) from error
    faults = {kind: sorted(map(str, keys)) for kind, keys in report.items() if keys}
    if faults:
        listed = "; ".join(f"{kind}: {', '.join(keys)}" for kind, keys in faults.items())
        raise WeightsError(
            f"The weights in {folder} do not fit their config.json ({listed}). Take both from the same model."
        )
    for setting in _UNSUPPORTED_LOGIT_SCALING:
        if getattr(transformer.config.get_text_config(), setting, None) not in (None, 1, 1.0):
            raise ModelError(
                f"The LLM in {folder} changes its logits by {setting}; signal tokens need a plain last layer. "
                "Choose another LLM."
            )
    return transformer


def _device_map_options(device: str) -> dict[str, Any]:
    """Weights go to their places as they are read. Layers that are left on disk are read there, by each use."""
    return {"device_map": device if device in AUTO_DEVICE_MAPS else {"": device}}


def _quantization_config(dtype: str) -> BitsAndBytesConfig:
    """Linear layers but the head, in 8 bits (arXiv 2208.07339) or in 4 (NF4, arXiv 2305.14314)."""
    if find_spec("bitsandbytes") is None:
        raise ModelError(
            f"{dtype} needs bitsandbytes, which is not installed; expected it. pip install 'nextgpt[quantized]', or "
            "take bfloat16."
        )
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it tells of kernels that it could have had
    if dtype == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


def _load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # tokenizers raises bare Exception
        raise ModelError(
            f"The tokenizer in {folder} cannot be read ({error}); expected one saved by transformers. "
            "Fetch the model again."
        ) from error
