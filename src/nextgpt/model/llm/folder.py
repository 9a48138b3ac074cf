"""Read and write the folder of a language model: that of transformers, with its tokenizer, and nothing else."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from nextgpt.errors import ModelError, WeightsError
from nextgpt.model.llm.language_model import LanguageModel
from nextgpt.model.llm.template import PromptTemplate, create_template

_SCALED_LOGITS = ("final_logit_softcapping", "logits_scaling", "logit_scale")
"""Settings of LLMs that change their logits after the last layer, which signal tokens would not go through."""


def load_language_model(
    folder: Path,
    *,
    template: str | PromptTemplate,
    soft_tokens: int,
    context_length: int | None = None,
    dtype: torch.dtype = torch.float32,
) -> LanguageModel:
    """Read a causal LM and its tokenizer; its own weights are frozen, the signal tokens' rows are fresh.

    Raises:
        ModelError: The folder holds no causal LM or no tokenizer, or one of a kind that cannot be extended.
        WeightsError: Weights are damaged, missing or too many; each is named.
    """
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"{folder} has no config.json; expected a causal LM saved by transformers. Fetch the model again."
        )
    transformer = _load_transformer(folder, dtype)
    tokenizer = _load_tokenizer(folder)
    llm = LanguageModel(
        transformer.requires_grad_(False),
        tokenizer,
        create_template(template, tokenizer),
        soft_tokens=soft_tokens,
        context_length=context_length or transformer.config.get_text_config().max_position_embeddings,
    )
    return llm.eval()


def save_language_model(llm: LanguageModel, folder: Path) -> None:
    """Write the transformer and its tokenizer as transformers would."""
    llm.transformer.save_pretrained(folder)
    llm.codec.tokenizer.save_pretrained(folder)


def _load_transformer(folder: Path, dtype: torch.dtype) -> PreTrainedModel:
    try:
        transformer, report = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, output_loading_info=True, local_files_only=True, use_safetensors=True
        )
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
    for setting in _SCALED_LOGITS:
        if getattr(transformer.config.get_text_config(), setting, None) not in (None, 1, 1.0):
            raise ModelError(
                f"The LLM in {folder} changes its logits by {setting}; signal tokens need a plain last layer. "
                "Choose another LLM."
            )
    return transformer


def _load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # tokenizers raises bare Exception
        raise ModelError(
            f"The tokenizer in {folder} cannot be read ({error}); expected one saved by transformers. "
            "Fetch the model again."
        ) from error
