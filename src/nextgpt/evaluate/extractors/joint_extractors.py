"""Extractors of media and texts in one space: CLIP, CLAP, and the open CLIPSIM of ordinary packages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nextgpt.errors import ConfigError, WeightsError
from nextgpt.evaluate.extractors.base import image_pixels, mono_samples, run_batched
from nextgpt.evaluate.extractors.image_extractors import EfficientNetExtractor
from nextgpt.evaluate.extractors.text_encoder import TEXT_BATCH_SIZE, MiniLM
from nextgpt.media.types import Medium

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


PATCH_PX = {"clip-b32": 32, "clip-l14": 14}
"""Patch sizes of the published models."""


class ClipExtractor:
    """CLIP from a transformers folder.

    Args:
        path: Folder of ``openai/clip-vit-base-patch32`` or ``openai/clip-vit-large-patch14``.
        name: ``clip-b32`` or ``clip-l14``.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.name = name
        self._model, self._tokenizer = _load_pair(path, name, "CLIPModel")
        vision = self._model.config.vision_config
        if vision.patch_size != PATCH_PX[name]:
            raise WeightsError(
                f"{name}: {path} has patches of {vision.patch_size} pixels; expected {PATCH_PX[name]}. "
                "Give the folder of the model that the name states."
            )
        self._side_px = vision.image_size
        self.preprocessing = f"short side {self._side_px} bicubic, central square, CLIP mean and deviation"

    def extract(self, media: Sequence[Medium]) -> np.ndarray:
        """Return image embeddings (n, d)."""
        inputs = [image_pixels(medium, self._side_px, CLIP_MEAN, CLIP_STD, name=self.name) for medium in media]
        return run_batched(lambda batch: (_vectors(self._model.get_image_features(pixel_values=batch)),), inputs)[0]

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return text embeddings (n, d)."""
        return _embed(self._model, self._tokenizer, texts, max_length=77)


class ClapExtractor:
    """CLAP from a transformers folder.

    Args:
        path: Folder of ``laion/clap-htsat-unfused`` or another CLAP model.
    """

    name = "clap"
    preprocessing = "mono 48 kHz (soxr HQ), first 10 s, repeated and padded if shorter"
    MAX_S = 10

    def __init__(self, path: Path) -> None:
        from transformers import ClapFeatureExtractor

        self._model, self._tokenizer = _load_pair(path, self.name, "ClapModel")
        try:
            self._processor = ClapFeatureExtractor.from_pretrained(path, local_files_only=True)
        except (OSError, ValueError) as error:
            raise WeightsError(_load_problem(path, self.name, "ClapFeatureExtractor", error)) from None

    @torch.inference_mode()
    def extract(self, media: Sequence[Medium]) -> np.ndarray:
        """Return audio embeddings (n, d)."""
        rate = self._processor.sampling_rate
        rows = []
        for medium in media:
            samples = mono_samples(medium, rate, name=self.name)[: self.MAX_S * rate].numpy()
            inputs = self._processor(samples, sampling_rate=rate, return_tensors="pt")
            rows.append(_vectors(self._model.get_audio_features(**inputs)).float().numpy())
        return np.concatenate(rows)

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return text embeddings (n, d)."""
        return _embed(self._model, self._tokenizer, texts, max_length=77)


class OpenClipsimExtractor:
    """EfficientNet's class probabilities times MiniLM's embeddings of the class names; nothing is trained for it.

    An open stand-in for CLIP: both parts come from ordinary packages. Values do not compare with those of CLIP.

    Args:
        names: File with the list of the class names.
    """

    name = "open-clipsim"
    preprocessing = f"{EfficientNetExtractor.preprocessing}; times MiniLM embeddings of the class names"

    def __init__(self, image_extractor: EfficientNetExtractor, text_encoder: MiniLM, names: Path) -> None:
        self._images, self._texts, self._names = image_extractor, text_encoder, names

    def extract(self, media: Sequence[Medium]) -> np.ndarray:
        """Return the expected class-name embeddings (n, 384)."""
        return self._images.probabilities(media) @ self._class_names

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return MiniLM embeddings (n, 384)."""
        return self._texts.embed_texts(texts)

    @cached_property
    def _class_names(self) -> np.ndarray:
        names: list[str] = json.loads(self._names.read_text())
        return self._texts.embed_texts(names)


def _load_pair(path: Path, name: str, class_name: str) -> tuple[Any, Any]:
    """Load a model with all its weights, and its tokenizer. Raises :class:`WeightsError`."""
    import transformers

    try:
        model, report = getattr(transformers, class_name).from_pretrained(
            path, local_files_only=True, dtype=torch.float32, output_loading_info=True
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(path, local_files_only=True)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise WeightsError(_load_problem(path, name, class_name, error)) from None
    if missing := sorted(report["missing_keys"]):
        raise WeightsError(
            f"{name}: {path} lacks {len(missing)} weights of {class_name}, such as {missing[0]}; give a whole folder."
        )
    return model.eval().requires_grad_(False), tokenizer


def _load_problem(path: Path, name: str, class_name: str, error: Exception) -> str:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return f"{name}: {path} cannot be loaded as {class_name} ({reason}); give its folder."


def _vectors(output: Any) -> Tensor:
    """Return the embeddings; newer versions of transformers return them in an output object."""
    return output if isinstance(output, Tensor) else output.pooler_output


@torch.inference_mode()
def _embed(model: Any, tokenizer: Any, texts: Sequence[str], *, max_length: int) -> np.ndarray:
    if not texts:
        raise ConfigError("texts: got none; expected at least one.")
    rows = []
    for start in range(0, len(texts), TEXT_BATCH_SIZE):
        batch = list(texts[start : start + TEXT_BATCH_SIZE])
        inputs = tokenizer(batch, padding=True, truncation=True, max_length=max_length, return_tensors="pt")
        features = model.get_text_features(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])
        rows.append(_vectors(features).float().numpy())
    return np.concatenate(rows)
