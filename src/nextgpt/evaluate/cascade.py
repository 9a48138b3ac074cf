"""The other way to the same media: captions in words, through the diffusion models' own text encoders.

The cascade's captions are written by the language model as it was before the alignments, when media still stood as
captions between markers (:mod:`nextgpt.nano.dialogue_text`); what was given or made before, it is told in
true captions. True captions are the most that this way can reach. Denoisers, steps, guidance and seeds are those of
the direct way.
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
"""Answers to the last turns of cases, with media as captions between markers."""

_CAPTION = re.compile(rf"<\|({'|'.join(MODALITIES)})\|>(.*?){re.escape(CLOSE)}", re.DOTALL)


def split_captions(text: str) -> list[str]:
    """An answer in words as words, modality, caption, words, ..., words."""
    return _CAPTION.split(text)


def text_conditioners(config: ModelConfig, home: Path) -> dict[str, PromptEncoder]:
    """The text encoders of a model's synthesizers. Raises :class:`~nextgpt.errors.ModelError` where one has none."""
    return {
        modality: PromptEncoder(resolve_component_dir(settings.source, home))
        for modality, settings in config.synthesizers.items()
    }


class CascadeSystem:
    """Answers in words, and has the captions among them made into media.

    Args:
        write: Who writes.
        model: Whose synthesizers are used.
        conditioners: Their own text encoders.
        steps: Of denoising; ``None`` means the model's own settings.
    """

    def __init__(
        self,
        write: WriteCaptions,
        model: NextGPT,
        conditioners: Mapping[str, PromptEncoder],
        steps: int | None = None,
    ) -> None:
        self._write = write
        self._model = model
        self._conditioners = conditioners
        self._steps = steps

    def answer(self, cases: Sequence[EvalCase]) -> list[CaseResult]:
        """See :meth:`.players.Player.play`. Takes cases of which the last turn alone is asked."""
        pieces = [split_captions(text) for text in self._write(cases)]
        media = self._media(pieces, [case.seed for case in cases])
        replies = [
            Reply(tuple(_parts(row, split, media)), case.seed)
            for row, (case, split) in enumerate(zip(cases, pieces, strict=True))
        ]
        return [
            CaseResult(case, (TurnResult(case.evaluated_turns[-1], reply),))
            for case, reply in zip(cases, replies, strict=True)
        ]

    @torch.inference_mode()
    def _media(self, pieces: Sequence[list[str]], seeds: Sequence[int]) -> dict[tuple[int, int], Medium]:
        """All media of several answers by row and place in ``pieces``: words, modality, caption, words, ..."""
        made: dict[tuple[int, int], Medium] = {}
        for modality, conditioner in self._conditioners.items():
            wanted = [
                (row, place)
                for row, split in enumerate(pieces)
                for place in range(1, len(split), 3)
                if split[place] == modality
            ]
            if wanted:
                conditions = conditioner.encode([pieces[row][place + 1] for row, place in wanted])
                # As in the direct way, each part of an answer has a seed of its own.
                own_seeds = [seeds[row] + _position(pieces[row], place) for row, place in wanted]
                made |= zip(wanted, self._synthesize(modality, conditions, own_seeds), strict=True)
        return made

    def _synthesize(self, modality: str, conditions: Tensor, seeds: Sequence[int]) -> list[Medium]:
        synthesizer = self._model.synthesizer(modality)
        *_, last = synthesizer.denoise(conditions, seeds=seeds, num_inference_steps=self._steps)
        return synthesizer.decode(last.latents)


class CaptionLLM:
    """The language model before the alignments, which answers in words.

    Args:
        folder: Of transformers, with the weights that the alignments start from.
    """

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, padding_side="left")
        self._transformer: nn.Module = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True
        ).eval()

    @torch.inference_mode()
    def __call__(self, cases: Sequence[EvalCase]) -> list[str]:
        """Write the likeliest answer to each last turn."""
        prompts = self._tokenizer.pad(
            {"input_ids": [self._prompt(case) for case in cases]}, return_tensors="pt"
        )
        written = self._transformer.generate(
            input_ids=prompts["input_ids"],
            attention_mask=prompts["attention_mask"],
            max_new_tokens=MAX_TOKENS,
            do_sample=False,
            eos_token_id=self._tokenizer.eos_token_id,
            pad_token_id=self._tokenizer.pad_token_id,
        )
        answers = self._tokenizer.batch_decode(written[:, prompts["input_ids"].shape[1] :])
        return [answer.partition(self._tokenizer.eos_token)[0] for answer in answers]

    def _prompt(self, case: EvalCase) -> list[int]:
        """The dialogue up to the answer, in the pieces in which it was tokenized for training."""
        *speeches, _ = dialogue_to_text(Dialogue(case.dialogue.turns))
        pieces = [self._tokenizer.encode(speech.text, add_special_tokens=False) for speech in speeches]
        return [token_id for piece in pieces for token_id in piece]


def oracle_captions(cases: Sequence[EvalCase]) -> list[str]:
    """The right answers, with media as their captions."""
    return ["".join(map(part_to_text, case.evaluated_turns[-1].assistant)) for case in cases]


def _parts(row: int, split: Sequence[str], media: dict[tuple[int, int], Medium]) -> list[Part]:
    """Words and media in their order."""
    parts: list[Part] = []
    for place in range(0, len(split), 3):
        if split[place]:
            parts.append(Text(split[place]))
        if place + 1 < len(split):
            parts.append(media[row, place + 1])
    return parts


def _position(split: Sequence[str], place: int) -> int:
    """Which part of the answer the medium at ``place`` is."""
    words = sum(bool(split[before]) for before in range(0, place, 3))
    return words + place // 3
