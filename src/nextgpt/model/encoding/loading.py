"""Load and save encoders; ``kind`` in their ``config.json`` selects a row of :data:`ENCODERS`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from tokenizers import Tokenizer

from nextgpt.errors import ConfigError, ModelError, accepted_values, unknown_name_message
from nextgpt.model.component_hash import TEXT_DIR
from nextgpt.model.encoding.config import EncoderConfig
from nextgpt.model.encoding.imagebind import ImageBind
from nextgpt.model.encoding.siglip_clap import SiglipClap, SiglipClapConfig, build_siglip_clap, load_siglip_clap
from nextgpt.model.safetensors_io import check_state_dict, read_safetensors

CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE = "config.json", "model.safetensors", "tokenizer.json"


def save_encoder(encoder: ImageBind, folder: str | Path, *, dtype: torch.dtype | None = None) -> None:
    """Write an ImageBind encoder into ``folder``; weights keep their dtype unless ``dtype`` is set.

    A separate text encoder in the folder is removed, because it was trained for the space of the earlier weights.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / TEXT_DIR, ignore_errors=True)
    (folder / CONFIG_FILE).write_text(encoder.config.model_dump_json(indent=2) + "\n")
    tensors = {name: tensor.to("cpu", dtype).contiguous() for name, tensor in encoder.state_dict().items()}
    save_file(tensors, folder / WEIGHTS_FILE, metadata={"format": "pt"})
    if encoder.tokenizer is not None:
        encoder.tokenizer.save(str(folder / TOKENIZER_FILE))


def load_encoder(
    folder: str | Path,
    *,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
    as_in_nextgpt: bool = False,
) -> ImageBind | SiglipClap:
    """Load an encoder for inference.

    Args:
        as_in_nextgpt: Compute features as NExT-GPT's copy of ImageBind; see
            :meth:`~.config.EncoderConfig.as_in_nextgpt`. Ignored by other encoders.

    Raises:
        ModelError: A file is missing or unreadable.
        WeightsError: The weights are damaged or do not fit the config; all mismatches are listed.
        ConfigError: The config has unknown or invalid settings.
    """
    config = read_encoder_config(Path(folder))
    if as_in_nextgpt and isinstance(config, EncoderConfig):
        config = config.as_in_nextgpt()
    return ENCODERS[config.kind].load(Path(folder), config, dtype, device).eval()


def build_encoder(folder: Path) -> ImageBind | SiglipClap:
    """Build an encoder from its configs, without weights; use it on the meta device."""
    config = read_encoder_config(folder)
    return ENCODERS[config.kind].build(folder, config)


def read_encoder_config(folder: Path) -> EncoderConfig | SiglipClapConfig:
    """Read the config of an encoder. Raises :class:`ModelError` or :class:`ConfigError`."""
    path = _require_file(folder / CONFIG_FILE)
    try:
        values = json.loads(path.read_bytes())
        kind = values.get("kind", "imagebind") if isinstance(values, dict) else "imagebind"
        if kind not in ENCODERS:
            raise ConfigError(f"{path}: {unknown_name_message('encoder', str(kind), ENCODERS)}")
        return ENCODERS[kind].config.model_validate(values)
    except (json.JSONDecodeError, UnicodeDecodeError, ValidationError) as error:
        problems = str(error)
        if isinstance(error, ValidationError):
            problems = "; ".join(
                f"{'.'.join(map(str, e['loc'])) or 'file'}: {accepted_values(e['msg'])}" for e in error.errors()
            )
        raise ConfigError(
            f"{path} has invalid settings ({problems}); expected those of an encoder. "
            "Correct them, or download the model again."
        ) from error


def _load_imagebind(folder: Path, config: EncoderConfig, dtype: torch.dtype, device: str | torch.device) -> ImageBind:
    """Load ImageBind. Weights are memory-mapped and converted one by one, never held twice."""
    is_separate = config.text is None and has_text_encoder(folder)
    load_text = partial(_load_text_encoder, folder / TEXT_DIR, config.width) if is_separate else None
    with torch.device("meta"):  # skips the initialization of weights that are replaced
        encoder = ImageBind(config, _read_tokenizer(folder / TOKENIZER_FILE), load_text)
    path = _require_file(folder / WEIGHTS_FILE)
    tensors = read_safetensors(path)
    check_state_dict(path, tensors, encoder.state_dict())
    converted = {name: tensors.pop(name).to(device, dtype) for name in list(tensors)}
    encoder.load_state_dict(converted, assign=True)
    return encoder


def has_text_encoder(folder: Path) -> bool:
    """Return True if the folder contains a separate text encoder (:data:`TEXT_DIR`)."""
    return (folder / TEXT_DIR / CONFIG_FILE).is_file()


def encoder_modalities(folder: Path) -> tuple[str, ...]:
    """Return the modalities of the encoder in ``folder``, without loading it; raises as :func:`load_encoder`."""
    modalities = read_encoder_config(folder).modalities
    return modalities if "text" in modalities or not has_text_encoder(folder) else ("text", *modalities)


def _load_text_encoder(folder: Path, width: int) -> ImageBind:
    """Load the separate text encoder; always float32 on the CPU, as it is small and rarely used."""
    encoder = load_encoder(folder)
    if not isinstance(encoder, ImageBind) or encoder.config.text is None or encoder.width != width:
        raise ConfigError(
            f"{folder} has no text tower of width {width}; expected one in the space of the encoder around it. "
            "Train it with a recipe of the kind text_tower, or delete the folder."
        )
    return encoder


def _require_file(path: Path) -> Path:
    if not path.is_file():
        raise ModelError(
            f"{path} is missing; expected {CONFIG_FILE} and {WEIGHTS_FILE} in an encoder's folder. "
            "Check the folder's name, or download the model again."
        )
    return path


def _read_tokenizer(path: Path) -> Tokenizer | None:
    if not path.is_file():
        return None
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception
        raise ModelError(
            f"{path} is damaged ({error}); expected a tokenizer of the tokenizers library. Download the model again."
        ) from error


@dataclass(frozen=True)
class EncoderFamily:
    """Config class, builder and loader of one kind of encoder."""

    config: type[Any]
    """Pydantic model of ``config.json``, with a field ``kind`` and a property ``modalities``."""
    build: Callable[[Path, Any], Any]
    """Folder and config to an encoder without weights; its ``towers`` are sub-models by name, which are counted."""
    load: Callable[[Path, Any, torch.dtype, str | torch.device], Any]
    """Folder, config, dtype and device to a loaded encoder."""


ENCODERS: dict[str, EncoderFamily] = {
    "imagebind": EncoderFamily(EncoderConfig, build=lambda folder, config: ImageBind(config), load=_load_imagebind),
    "siglip_clap": EncoderFamily(
        SiglipClapConfig,
        build=build_siglip_clap,
        load=lambda folder, config, dtype, device: load_siglip_clap(folder, config, dtype=dtype).to(device),
    ),
}
"""Encoders by ``kind``. A new encoder is one row."""
