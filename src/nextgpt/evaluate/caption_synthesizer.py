"""Synthesis from captions: the half of the cascade after the LLM. The diffusion models' own text encoders encode them.

Denoisers, number of steps, guidance scale and seeds are those of the full model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from nextgpt.config import ModelConfig
from nextgpt.evaluate.caption_llm import MARKERS
from nextgpt.message import Medium, Part, Reply, Text
from nextgpt.model.hub import resolve_component_dir
from nextgpt.model.nextgpt import NextGPT
from nextgpt.model.synthesis.prompt_encoder import PromptEncoder


def split_captions(answer: str) -> list[str]:
    """Split an answer into text, modality, caption, text, ..., text."""
    return MARKERS.split(answer)


def create_prompt_encoders(config: ModelConfig, model_dir: Path) -> dict[str, PromptEncoder]:
    """Load the text encoder of each synthesizer. Raises :class:`~nextgpt.errors.ModelError` if one is missing."""
    return {
        modality: PromptEncoder(resolve_component_dir(settings.source, model_dir))
        for modality, settings in config.synthesizers.items()
    }


class CaptionSynthesizer:
    """Synthesizes media from captions.

    Args:
        model: Model whose synthesizers are used.
        prompt_encoders: Text encoder of each synthesizer by modality.
        num_inference_steps: Denoising steps; ``None`` means the model's default.
    """

    def __init__(
        self, model: NextGPT, prompt_encoders: Mapping[str, PromptEncoder], num_inference_steps: int | None = None
    ) -> None:
        self._model = model
        self._prompt_encoders = prompt_encoders
        self._num_inference_steps = num_inference_steps

    def to_replies(self, answers: Sequence[list[str]], seeds: Sequence[int]) -> list[Reply]:
        """Return a reply per answer; answers are split as by :func:`split_captions`."""
        media = self._synthesize_captions(answers, seeds)
        return [
            Reply(answer_parts(pieces, outputs), seed)
            for pieces, outputs, seed in zip(answers, media, seeds, strict=True)
        ]

    @torch.inference_mode()
    def _synthesize_captions(self, answers: Sequence[list[str]], seeds: Sequence[int]) -> list[dict[int, Medium]]:
        """Synthesize all captions, batched by modality; each answer's media by the index of their modality."""
        media: list[dict[int, Medium]] = [{} for _ in answers]
        for modality, encoder in self._prompt_encoders.items():
            keys = [
                (row, index)
                for row, pieces in enumerate(answers)
                for index in range(1, len(pieces), 3)
                if pieces[index] == modality
            ]
            if keys:
                conditions = encoder.encode([answers[row][index + 1] for row, index in keys])
                # As in the full model, each part of an answer has its own seed.
                part_seeds = [seeds[row] + _part_index(answers[row], index) for row, index in keys]
                outputs = self._synthesize(modality, conditions, part_seeds)
                for (row, index), output in zip(keys, outputs, strict=True):
                    media[row][index] = output
        return media

    def _synthesize(self, modality: str, conditions: Tensor, seeds: Sequence[int]) -> list[Medium]:
        synthesizer = self._model.synthesizer(modality)
        *_, last = synthesizer.denoise(conditions, seeds=seeds, num_inference_steps=self._num_inference_steps)
        return synthesizer.decode(last.latents)


def answer_parts(pieces: Sequence[str], media: Mapping[int, Medium]) -> tuple[Part, ...]:
    """Return text and media in order; ``media`` are given by the index of their modality in ``pieces``."""
    parts: list[Part] = []
    for index in range(0, len(pieces), 3):
        if pieces[index]:
            parts.append(Text(pieces[index]))
        if index + 1 in media:
            parts.append(media[index + 1])
    return tuple(parts)


def _part_index(pieces: Sequence[str], index: int) -> int:
    """Return the position among the answer's parts of the medium at ``index``."""
    return sum(bool(pieces[text]) for text in range(0, index, 3)) + index // 3
