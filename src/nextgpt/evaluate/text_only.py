"""Text-only upper bound: the LLM receives true captions instead of media and answers with captions.

The small world renders the captions, so every error is the LLM's own. The distance to the full model is the cost of
projections and synthesizers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nextgpt.evaluate.cascade import WriteCaptions, split_captions
from nextgpt.evaluate.cases import CaseResult, EvalCase, TurnResult
from nextgpt.message import Part, Reply, Text
from nextgpt.miniworld.language.canonical_captions import parse_caption
from nextgpt.miniworld.language.types import Dialogue, DialogueTurn
from nextgpt.miniworld.render import render
from nextgpt.nano.dialogue_text import EDIT


class TextOnlySystem:
    """Implements :class:`~nextgpt.evaluate.systems.System`.

    Args:
        write: Writes answers with captions in place of media.
    """

    def __init__(self, write: WriteCaptions) -> None:
        self._write = write

    def answer(self, cases: Sequence[EvalCase]) -> list[CaseResult]:
        """Hold all dialogues in one batch, turn by turn; the written answers stay in the dialogue."""
        histories: list[list[DialogueTurn]] = [list(case.history) for case in cases]
        results: list[list[TurnResult]] = [[] for _ in cases]
        for number in range(max((len(case.evaluated_turns) for case in cases), default=0)):
            active = [index for index, case in enumerate(cases) if number < len(case.evaluated_turns)]
            turns = [cases[index].evaluated_turns[number] for index in active]
            answers = self._write(
                [
                    replace(cases[index], dialogue=Dialogue((*histories[index], turn)))
                    for index, turn in zip(active, turns, strict=True)
                ]
            )
            for index, turn, answer in zip(active, turns, answers, strict=True):
                histories[index].append(replace(turn, assistant=(answer,)))
                results[index].append(TurnResult(turn, Reply(tuple(_parts(answer)), cases[index].seed)))
        return [CaseResult(case, tuple(turns)) for case, turns in zip(cases, results, strict=True)]


def _parts(answer: str) -> list[Part]:
    """Render each caption of an answer; invalid captions give no medium."""
    parts: list[Part] = []
    pieces = split_captions(answer.replace(EDIT, ""))
    for index in range(0, len(pieces), 3):
        if pieces[index]:
            parts.append(Text(pieces[index]))
        if index + 1 < len(pieces) and (spec := parse_caption(pieces[index + 2])):
            parts.append(render(spec))
    return parts
