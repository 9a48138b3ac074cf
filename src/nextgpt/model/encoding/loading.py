"""Save and load encoders. ImageBind is ``config.json``, ``model.safetensors`` and, where it reads texts,
``tokenizer.json``; other kinds say in their ``config.json`` what they are."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from tokenizers import Tokenizer

from nextgpt.errors import ConfigError, ModelError
from nextgpt.model.encoding.config import EncoderConfig
from nextgpt.model.encoding.imagebind import ImageBind
from nextgpt.model.encoding.siglip_clap import (
    SiglipClap,
    SiglipClapConfig,
    build_siglip_clap,
    load_siglip_clap,
)
from nextgpt.model.safetensors_io import check_state_dict, read_safetensors

CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE = "config.json", "model.safetensors", "tokenizer.json"


def save_encoder(encoder: ImageBind, folder: str | Path, *, dtype: torch.dtype | None = None) -> None:
    """Write ``encoder`` into ``folder``, which is made; ``dtype`` is that of the weights on disk, unchanged if None."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
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
    keep_feature_norms: bool = False,
) -> ImageBind | SiglipClap:
    """Read an encoder of whichever kind ``config.json`` names, ready to answer with.

    Args:
        keep_feature_norms: As in :class:`~.imagebind.ImageBind`; other kinds have no such choice.

    Weights are mapped into memory, and taken from there one by one into another type or place: never two copies of all.

    Raises:
        ModelError: a file of the folder is missing or cannot be read.
        WeightsError: the weights are damaged or do not fit the config; every key that does not fit is named.
        ConfigError: the config has unknown or impossible settings.
    """
    folder = Path(folder)
    config = read_encoder_config(folder)
    if isinstance(config, SiglipClapConfig):
        return load_siglip_clap(folder, config, dtype=dtype).to(device)
    with torch.device("meta"):  # No time is spent on weights that are replaced at once.
        encoder = ImageBind(
            config, _read_tokenizer(folder / TOKENIZER_FILE), keep_feature_norms=keep_feature_norms
        )
    path = _require_file(folder / WEIGHTS_FILE)
    tensors = read_safetensors(path)
    check_state_dict(path, tensors, encoder.state_dict())
    placed = {name: tensors.pop(name).to(device, dtype) for name in list(tensors)}
    encoder.load_state_dict(placed, assign=True)
    return encoder.eval()


def build_encoder(folder: Path) -> ImageBind | SiglipClap:
    """The encoder of a folder by its configs alone; on the meta device it has shapes and no content."""
    config = read_encoder_config(folder)
    if isinstance(config, SiglipClapConfig):
        return build_siglip_clap(folder, config)
    return ImageBind(config)


def _require_file(path: Path) -> Path:
    if not path.is_file():
        raise ModelError(
            f"{path} is missing; an encoder's folder holds {CONFIG_FILE} and {WEIGHTS_FILE}. "
            "Check the folder's name, or fetch the model again."
        )
    return path


def read_encoder_config(folder: Path) -> EncoderConfig | SiglipClapConfig:
    """Read what an encoder is. Raises :class:`ModelError` or :class:`ConfigError`."""
    path = _require_file(folder / CONFIG_FILE)
    try:
        values = json.loads(path.read_bytes())
        kind = SiglipClapConfig if isinstance(values, dict) and "kind" in values else EncoderConfig
        return kind.model_validate(values)
    except ValueError as error:  # no JSON, or not such values
        faults = str(error)
        if isinstance(error, ValidationError):
            faults = "; ".join(
                f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors()
            )
        raise ConfigError(
            f"{path} has impossible settings ({faults}); expected those of an encoder. "
            "Correct them, or fetch the model again."
        ) from error


def _read_tokenizer(path: Path) -> Tokenizer | None:
    if not path.is_file():
        return None
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # The library raises bare Exception.
        raise ModelError(
            f"{path} is damaged ({error}); expected a tokenizer of the tokenizers library. "
            "Fetch the model again."
        ) from error
