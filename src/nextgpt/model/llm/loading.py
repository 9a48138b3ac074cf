"""Load and save language models: transformers folders with their tokenizer."""

from __future__ import annotations

import inspect
import json
import logging
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    LlamaTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from nextgpt.errors import ModelError, WeightsError
from nextgpt.model.llm.fused_decoder import can_fuse, choose_fused_dtype
from nextgpt.model.llm.language_model import LanguageModel
from nextgpt.model.memory_errors import raise_if_out_of_memory
from nextgpt.model.memory_plan import AUTO_DEVICE_MAPS, QUANTIZED_DTYPES
from nextgpt.prompt_template import PromptTemplate, create_template

_WINDOWS = ("sliding_window", "window_size")
"""Config keys of layers that attend to near positions only: of most LLMs, and of GPT-Neo."""
_NO_WINDOW = 2**30
"""Window beyond every context."""
_UNSUPPORTED_LOGIT_SCALING = ("final_logit_softcapping", "logits_scaling", "logit_scale")
"""Config keys of LLMs that rescale logits; the logits of signal tokens would not be rescaled."""


def load_language_model(
    folder: Path,
    *,
    template: str | PromptTemplate,
    soft_tokens: int,
    context_length: int | None = None,
    has_signal_separators: bool = False,
    dtype: str | torch.dtype = torch.float32,
    device: str = "cpu",
    use_fused_decoder: bool = False,
) -> LanguageModel:
    """Load a causal LM and its tokenizer; its weights are frozen, the signal embeddings are fresh.

    Args:
        has_signal_separators: See :class:`~.language_model.LanguageModel`.
        dtype: A torch dtype, or ``int8`` or ``int4`` to quantize linear layers with bitsandbytes.
        device: A device, or a device map of accelerate (``auto``, ``balanced``, ``sequential``).
        use_fused_decoder: Generate with a fused decoder, in the dtype that this processor decodes fastest instead of
            ``dtype``, if the LLM is a Llama and large enough.

    Raises:
        ModelError: The folder has no causal LM or no tokenizer, or the LLM is of a kind that cannot be used; see
            :func:`check_supported`.
        WeightsError: Weights are damaged, missing or unexpected; all are listed.
    """
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"{folder} has no config.json; expected a causal LM saved by transformers. Download the model again."
        )

    config = _read_config(folder)
    check_supported(config, folder)
    window = _remove_windows(config.get_text_config())
    fused_dtype = choose_fused_dtype(config.hidden_size) if use_fused_decoder and can_fuse(config) else None
    dtype_name = "bfloat16" if fused_dtype else str(dtype).removeprefix("torch.")

    def load() -> PreTrainedModel:
        return _load_transformer(folder, config, dtype_name, device).requires_grad_(False).eval()

    transformer = load()
    if transformer.base_model is transformer:
        raise ModelError(
            f"The LLM in {folder} ({type(transformer).__name__}) has no part that returns hidden states alone; "
            "expected a causal LM with one. Choose another LLM, such as a Llama, Qwen or Mistral."
        )
    tokenizer = load_tokenizer(folder)
    num_rows = transformer.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > num_rows:
        raise ModelError(
            f"The tokenizer in {folder} has {len(tokenizer):,} tokens, the LLM {num_rows:,} embeddings; expected at "
            "most as many tokens, as signal tokens follow the embeddings. Resize the LLM's embeddings, or take the "
            "tokenizer of the same model."
        )
    positions = min(filter(None, (context_length or config.get_text_config().max_position_embeddings, window)))
    llm = LanguageModel(
        transformer,
        tokenizer,
        create_template(template, tokenizer),
        soft_tokens=soft_tokens,
        has_signal_separators=has_signal_separators,
        context_length=positions,
        load=load,
        fused_dtype=fused_dtype,
    )
    return llm.eval()


def _read_config(folder: Path) -> PreTrainedConfig:
    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"{folder} cannot be read ({error}); expected a causal LM that this version of transformers knows. "
            "Download the model again, or upgrade transformers."
        ) from error


def check_supported(config: PreTrainedConfig, folder: Path) -> None:
    """Check from its config that an LLM can be used.

    Prompts are embeddings at given positions, and replies continue from keys and values.

    Raises:
        ModelError: It is no causal LM (BERT, T5), has quantized weights, recurrent states (Mamba), no position ids
            (BLOOM, MPT), no stated context length, or rescales its logits.
    """

    def refuse(problem: str, expected: str, advice: str) -> ModelError:
        return ModelError(f"The LLM in {folder} {problem}; expected {expected}. {advice}")

    text, other = config.get_text_config(), "Choose another LLM, such as a Llama, Qwen or Mistral."
    quantization = getattr(config, "quantization_config", None)
    if quantization is not None:
        method = quantization.get("quant_method") if isinstance(quantization, dict) else quantization.quant_method
        raise refuse(
            f"has weights quantized by {getattr(method, 'value', method)}", "weights in float32, float16 or bfloat16",
            "Take the model before quantization; --dtype llm=int8 and llm=int4 quantize it.",
        )  # fmt: skip
    cls = AutoModelForCausalLM._model_mapping.get(type(config), None)
    cls = cls[0] if isinstance(cls, tuple | list) else cls
    if cls is None:
        raise refuse(f"is of the type {config.model_type}", "a causal LM of transformers", other)
    if getattr(text, "is_decoder", None) is False:  # only configs of encoders, such as BERT, have it
        raise refuse(f"({cls.__name__}) is an encoder, whose tokens attend to later ones", "a causal LM", other)
    if getattr(cls, "_is_stateful", False):
        raise refuse(f"({cls.__name__}) has recurrent states", "attention with keys and values", other)
    parameters = inspect.signature(cls.forward).parameters
    missing = [name for name in ("inputs_embeds", "position_ids", "past_key_values") if name not in parameters]
    if missing:
        raise refuse(f"({cls.__name__}) takes no {', '.join(missing)}", "all of them", other)
    if not getattr(text, "max_position_embeddings", None):
        raise refuse("states no max_position_embeddings", "its context length in config.json", "Add it there.")
    for setting in _UNSUPPORTED_LOGIT_SCALING:
        if getattr(text, setting, None) not in (None, 1, 1.0):
            raise refuse(f"rescales its logits ({setting})", "unscaled logits", "Choose another LLM.")


def _remove_windows(text: PreTrainedConfig) -> int | None:
    """Let all layers attend to the whole context, and return the smallest window as the longest context.

    Windows of transformers count places in the cache. Beside a reply with a medium a row has empty places, so its
    answer would depend on its neighbours. Within the window both kinds of attention are the same.
    """
    windows = {name: value for name in _WINDOWS if isinstance(value := getattr(text, name, None), int) and value > 0}
    for name in windows:
        setattr(text, name, _NO_WINDOW)
    return min(windows.values(), default=None)


def save_language_model(llm: LanguageModel, folder: Path) -> None:
    """Save the transformer and its tokenizer in transformers' format."""
    llm.transformer.save_pretrained(folder)
    llm.tokenizer.hf_tokenizer.save_pretrained(folder)


def _load_transformer(folder: Path, config: PreTrainedConfig, dtype: str, device: str) -> PreTrainedModel:
    options = {} if device == "cpu" and dtype not in QUANTIZED_DTYPES else _device_map_options(device)
    if dtype in QUANTIZED_DTYPES:
        options |= {"quantization_config": _quantization_config(dtype), "dtype": torch.bfloat16}
    try:
        transformer, report = AutoModelForCausalLM.from_pretrained(
            folder, config=config, output_loading_info=True, local_files_only=True, use_safetensors=True,
            **({"dtype": getattr(torch, dtype, None)} | options),
        )  # fmt: skip
    except (SafetensorError, RuntimeError, MemoryError) as error:
        raise_if_out_of_memory(error, folder)
        raise WeightsError(
            f"The weights in {folder} are damaged ({error}); expected complete safetensors files that fit the "
            "config.json. Download the model again."
        ) from error
    except ImportError as error:
        raise ModelError(
            f"The LLM in {folder} needs a package that is not installed ({error}). Install it, or choose another LLM."
        ) from error
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"{folder} cannot be read ({error}); expected a causal LM saved by transformers. Download the model again."
        ) from error
    problems = {kind: sorted(map(str, keys)) for kind, keys in report.items() if keys}
    if problems:
        listed = "; ".join(f"{kind}: {', '.join(keys)}" for kind, keys in problems.items())
        raise WeightsError(
            f"The weights in {folder} do not fit their config.json ({listed}). Take both from the same model."
        )
    return transformer


def _device_map_options(device: str) -> dict[str, Any]:
    """Return the device map; disk-offloaded layers are read at each use."""
    return {"device_map": device if device in AUTO_DEVICE_MAPS else {"": device}}


def _quantization_config(dtype: str) -> BitsAndBytesConfig:
    """Quantize linear layers except the head: LLM.int8() (arXiv 2208.07339) or NF4 (arXiv 2305.14314)."""
    if find_spec("bitsandbytes") is None:
        raise ModelError(
            f"{dtype} needs bitsandbytes, which is not installed. Run pip install 'nextgpt[quantized]', or use "
            "bfloat16."
        )
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it warns about missing optional kernels
    if dtype == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a folder; ``tokenizer.model`` of a LLaMA is enough. Raises :class:`ModelError`."""
    try:
        # AutoTokenizer takes a bare SentencePiece file for a generic tokenizer, without LLaMA's leading blank.
        is_bare_llama = _is_bare_sentencepiece(folder) and _model_type(folder) == "llama"
        cls = LlamaTokenizer if is_bare_llama else AutoTokenizer
        return cls.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # tokenizers raises bare Exception
        raise ModelError(
            f"The tokenizer in {folder} cannot be read ({error}); expected one saved by transformers. "
            "Download the model again."
        ) from error


def _is_bare_sentencepiece(folder: Path) -> bool:
    others = ("tokenizer.json", "tokenizer_config.json")
    return (folder / "tokenizer.model").is_file() and not any((folder / name).is_file() for name in others)


def _model_type(folder: Path) -> str | None:
    path = folder / "config.json"
    values = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return values.get("model_type") if isinstance(values, dict) else None
