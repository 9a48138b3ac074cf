"""Cascade baseline: the LLM writes captions, and the diffusion models' own text encoders encode them.

The captions come from the LLM before the alignments, when media still were captions between markers
(:mod:`nextgpt.nano.dialogue_text`); earlier media are true captions in its prompt. True captions in the answer are the
upper bound of this approach. Denoisers, number of steps, guidance scale and seeds are those of the full model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from nextgpt.config import ModelConfig
from nextgpt.evaluate.cases import CaseResult, EvalCase, TurnResult
from nextgpt.evaluate.systems import MAX_TOKENS
from nextgpt.message import Medium, Part, Reply, Text
from nextgpt.miniworld.language.types import Dialogue
from nextgpt.modality import MODALITIES
from nextgpt.model.hub import resolve_component_dir
from nextgpt.model.nextgpt import NextGPT
from nextgpt.model.synthesis.prompt_encoder import PromptEncoder
from nextgpt.nano.dialogue_text import CLOSE, dialogue_to_text, part_to_text

WriteCaptions = Callable[[Sequence[EvalCase]], list[str]]
"""Writes answers to the last turns of cases, with captions between markers in place of media."""

_CAPTION = re.compile(rf"<\|({'|'.join(MODALITIES)})\|>(.*?){re.escape(CLOSE)}", re.DOTALL)


def split_captions(answer: str) -> list[str]:
    """Split an answer into text, modality, caption, text, ..., text."""
    return _CAPTION.split(answer)


def create_prompt_encoders(config: ModelConfig, model_dir: Path) -> dict[str, PromptEncoder]:
    """Load the text encoder of each synthesizer. Raises :class:`~nextgpt.errors.ModelError` if one is missing."""
    return {
        modality: PromptEncoder(resolve_component_dir(settings.source, model_dir))
        for modality, settings in config.synthesizers.items()
    }


class CascadeSystem:
    """Writes an answer with captions, then synthesizes a medium from each caption.

    Args:
        write: Writes the answers.
        model: Model whose synthesizers are used.
        prompt_encoders: Text encoder of each synthesizer by modality.
        num_inference_steps: Denoising steps; ``None`` means the model's default.
    """

    def __init__(
        self,
        write: WriteCaptions,
        model: NextGPT,
        prompt_encoders: Mapping[str, PromptEncoder],
        num_inference_steps: int | None = None,
    ) -> None:
        self._write = write
        self._model = model
        self._prompt_encoders = prompt_encoders
        self._num_inference_steps = num_inference_steps

    def answer(self, cases: Sequence[EvalCase]) -> list[CaseResult]:
        """See :meth:`.systems.System.answer`. Accepts cases with one evaluated turn."""
        answers = [split_captions(text) for text in self._write(cases)]
        media = self._synthesize_captions(answers, [case.seed for case in cases])
        return [
            CaseResult(case, (TurnResult(case.evaluated_turns[-1], Reply(answer_parts(pieces, outputs), case.seed)),))
            for case, pieces, outputs in zip(cases, answers, media, strict=True)
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


class CaptionLLM:
    """The LLM before the alignments, which answers with captions in place of media.

    Args:
        folder: Transformers folder with the weights that the alignments start from.
    """

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, padding_side="left")
        self._transformer: nn.Module = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True
        ).eval()

    @torch.inference_mode()
    def __call__(self, cases: Sequence[EvalCase]) -> list[str]:
        """Answer each last turn by greedy decoding."""
        prompts = self._tokenizer.pad({"input_ids": [self._prompt(case) for case in cases]}, return_tensors="pt")
        output = self._transformer.generate(
            input_ids=prompts["input_ids"],
            attention_mask=prompts["attention_mask"],
            max_new_tokens=MAX_TOKENS,
            do_sample=False,
            eos_token_id=self._tokenizer.eos_token_id,
            pad_token_id=self._tokenizer.pad_token_id,
        )
        answers = self._tokenizer.batch_decode(output[:, prompts["input_ids"].shape[1] :])
        return [answer.partition(self._tokenizer.eos_token)[0] for answer in answers]

    def _prompt(self, case: EvalCase) -> list[int]:
        """Tokenize the dialogue up to the answer in the same pieces as in training."""
        *speeches, _ = dialogue_to_text(Dialogue(case.dialogue.turns))
        pieces = [self._tokenizer.encode(speech.text, add_special_tokens=False) for speech in speeches]
        return [token_id for piece in pieces for token_id in piece]


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
