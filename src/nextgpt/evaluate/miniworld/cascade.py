"""Cascade baseline for cases of the small world: the LLM writes captions, and media are synthesized from them.

Earlier media are true captions in the LLM's prompt. True captions in the answer are the upper bound of this approach.
For captions by the model itself, see :class:`~nextgpt.evaluate.standard.cascade_model.Cascade`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nextgpt.evaluate.caption_llm import CaptionLLM, CaptionMessage, CaptionPart
from nextgpt.evaluate.caption_synthesizer import CaptionSynthesizer, split_captions
from nextgpt.evaluate.miniworld.cases import CaseResult, EvalCase, TurnResult
from nextgpt.evaluate.miniworld.systems import MAX_TOKENS
from nextgpt.miniworld.language.canonical_captions import canonical_caption
from nextgpt.miniworld.language.types import TurnPart
from nextgpt.nano.dialogue_text import part_to_text

WriteCaptions = Callable[[Sequence[EvalCase]], list[str]]
"""Writes answers to the last turns of cases, with captions between markers in place of media."""


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
