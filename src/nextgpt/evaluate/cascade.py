"""Cascade baseline: the LLM writes captions, and the diffusion models' own text encoders encode them.

Earlier media are captions in the LLM's prompt: true captions in the small world's suites, otherwise the model's own
descriptions (:class:`.cascade_model.Cascade`). True captions in the answer are the upper bound of this approach.
Denoisers, number of steps, guidance scale and seeds are those of the full model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from nextgpt.config import ModelConfig
from nextgpt.evaluate.caption_llm import MARKERS, CaptionLLM, CaptionMessage, CaptionPart
from nextgpt.evaluate.cases import CaseResult, EvalCase, TurnResult
from nextgpt.evaluate.systems import MAX_TOKENS
from nextgpt.message import Medium, Part, Reply, Text
from nextgpt.miniworld.language.canonical_captions import canonical_caption
from nextgpt.miniworld.language.types import TurnPart
from nextgpt.model.hub import resolve_component_dir
from nextgpt.model.nextgpt import NextGPT
from nextgpt.model.synthesis.prompt_encoder import PromptEncoder
from nextgpt.nano.dialogue_text import part_to_text

WriteCaptions = Callable[[Sequence[EvalCase]], list[str]]
"""Writes answers to the last turns of cases, with captions between markers in place of media."""


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


class CascadeSystem:
    """Writes an answer with captions, then synthesizes a medium from each caption.

    Args:
        write: Writes the answers.
        synthesizer: Synthesizes their captions.
    """

    def __init__(self, write: WriteCaptions, synthesizer: CaptionSynthesizer) -> None:
        self._write = write
        self._synthesizer = synthesizer

    def answer(self, cases: Sequence[EvalCase]) -> list[CaseResult]:
        """See :meth:`.systems.System.answer`. Accepts cases with one evaluated turn."""
        answers = [split_captions(text) for text in self._write(cases)]
        replies = self._synthesizer.to_replies(answers, [case.seed for case in cases])
        return [
            CaseResult(case, (TurnResult(case.evaluated_turns[-1], reply),))
            for case, reply in zip(cases, replies, strict=True)
        ]


def caption_writer(llm: CaptionLLM) -> WriteCaptions:
    """Return the writer for cases of the small world, whose earlier media are true captions."""

    def write(cases: Sequence[EvalCase]) -> list[str]:
        return llm.write([_case_messages(case) for case in cases], MAX_TOKENS)

    return write


def _case_messages(case: EvalCase) -> list[CaptionMessage]:
    """Return the dialogue up to the answer."""
    turns = case.dialogue.turns
    messages = [
        CaptionMessage(role, tuple(map(_caption_part, parts)))
        for turn in turns
        for role, parts in (("user", turn.user), ("assistant", turn.assistant))
    ]
    return messages[:-1]


def _caption_part(part: TurnPart) -> str | CaptionPart:
    return part if isinstance(part, str) else CaptionPart(part.modality, canonical_caption(part.spec), part.is_edit)


def oracle_captions(cases: Sequence[EvalCase]) -> list[str]:
    """Return the reference answers with captions in place of media."""
    return ["".join(map(part_to_text, case.evaluated_turns[-1].assistant)) for case in cases]


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
