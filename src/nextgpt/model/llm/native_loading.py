"""Load Llamas into :mod:`.llama`, without the models of transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from nextgpt.errors import ModelError
from nextgpt.model.llm.fused_decoder import choose_fused_dtype
from nextgpt.model.llm.language_model import LanguageModel
from nextgpt.model.llm.llama import WEIGHTS_FILE, Llama, is_supported, load_llama
from nextgpt.prompt_template import PromptTemplate, create_template

_FAST_TOKENIZERS = ("TokenizersBackend", "PreTrainedTokenizerFast")
"""Tokenizer classes that a ``tokenizer.json`` describes completely."""


def load_native_language_model(
    folder: Path, *, template: str | PromptTemplate, soft_tokens: int, context_length: int | None = None
) -> LanguageModel | None:
    """Load an LLM for inference on a CPU, or return None if transformers is needed.

    Small Llamas are float32; large ones compute in the number format that :mod:`.fused_decoder` chooses.

    Raises:
        ModelError: The tokenizer cannot be read.
        WeightsError: The weights are damaged, or do not fit the config.
    """
    config, tokenizer_config = (_read_json(folder / name) for name in ("config.json", "tokenizer_config.json"))
    if not is_supported(config) or tokenizer_config.get("tokenizer_class") not in _FAST_TOKENIZERS:
        return None
    if not (folder / WEIGHTS_FILE).is_file() or not (folder / "tokenizer.json").is_file():
        return None
    fused_dtype = choose_fused_dtype(config["hidden_size"])
    dtype = torch.bfloat16 if fused_dtype else torch.float32

    def load() -> Llama:
        return load_llama(folder, config, dtype=dtype)

    tokenizer = _load_tokenizer(folder)
    if len(tokenizer) > config["vocab_size"]:
        return None  # refused, with the reason
    return LanguageModel(
        load(),
        tokenizer,
        create_template(template, tokenizer),
        soft_tokens=soft_tokens,
        context_length=context_length or config["max_position_embeddings"],
        load=load,
        fused_dtype=fused_dtype,
    ).eval()


def _load_tokenizer(folder: Path) -> Any:
    from transformers import PreTrainedTokenizerFast

    try:
        return PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # tokenizers raises bare Exception
        raise ModelError(
            f"The tokenizer in {folder} cannot be read ({error}); expected one saved by transformers. "
            "Download the model again."
        ) from error


def _read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; an empty one if there is none, which transformers then refuses with the reason."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError):
        return {}
    return values if isinstance(values, dict) else {}
