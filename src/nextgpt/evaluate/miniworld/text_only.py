"""Text-only upper bound: the LLM receives true captions instead of media and answers with captions.

The small world renders the captions, so every error is the LLM's own. The distance to the full model is the cost of
projections and synthesizers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from nextgpt.evaluate.caption_synthesizer import answer_parts, split_captions
from nextgpt.evaluate.miniworld.cascade import WriteCaptions
from nextgpt.evaluate.miniworld.cases import CaseResult, EvalCase
from nextgpt.evaluate.miniworld.systems import answer_by_turns
from nextgpt.message import Part, Reply
from nextgpt.miniworld.language.canonical_captions import parse_caption
from nextgpt.miniworld.language.types import Dialogue, DialogueTurn
from nextgpt.miniworld.render import render
from nextgpt.nano.dialogue_text import EDIT


class TextOnlySystem:
    """Implements :class:`~nextgpt.evaluate.miniworld.systems.System`.

    Args:
        write: Writes answers with captions in place of media.
    """

    def __init__(self, write: WriteCaptions) -> None:
        self._write = write

    def answer(self, cases: Sequence[EvalCase]) -> list[CaseResult]:
        """Hold all dialogues in one batch, turn by turn; the written answers stay in the dialogue."""
        histories: list[list[DialogueTurn]] = [list(case.history) for case in cases]

        def reply(turns: Mapping[int, DialogueTurn]) -> list[Reply]:
            answers = self._write(
                [replace(cases[index], dialogue=Dialogue((*histories[index], turn))) for index, turn in turns.items()]
            )
            for (index, turn), answer in zip(turns.items(), answers, strict=True):
                histories[index].append(replace(turn, assistant=(answer,)))
            return [Reply(_parts(answer), cases[index].seed) for index, answer in zip(turns, answers, strict=True)]

        return answer_by_turns(cases, reply)


def _parts(answer: str) -> tuple[Part, ...]:
    """Render each caption of an answer; invalid captions give no medium."""
    pieces = split_captions(answer.replace(EDIT, ""))
    specs = {index: parse_caption(pieces[index + 1]) for index in range(1, len(pieces), 3)}
    return answer_parts(pieces, {index: render(spec) for index, spec in specs.items() if spec})
