"""How far the language model alone comes: it is told media in true captions, and answers with captions.

What it writes is drawn and played by the small world itself, so whatever is wrong is the language model's own doing.
No alignment can be expected to go further; the distance to the direct way is what projections and synthesizers cost.
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
from nextgpt.train.pretrain.language_model import EDIT


class TextOnlySystem:
    """Implements :class:`~nextgpt.evaluate.systems.System`.

    Args:
        write: Who writes.
    """

    def __init__(self, write: WriteCaptions) -> None:
        self._write = write

    def answer(self, cases: Sequence[EvalCase]) -> list[CaseResult]:
        """Hold all dialogues side by side, turn by turn; what was written stays in the dialogue."""
        told: list[list[DialogueTurn]] = [list(case.history) for case in cases]
        answers: list[list[TurnResult]] = [[] for _ in cases]
        for number in range(max((len(case.evaluated_turns) for case in cases), default=0)):
            asked = [index for index, case in enumerate(cases) if number < len(case.evaluated_turns)]
            turns = [cases[index].evaluated_turns[number] for index in asked]
            written = self._write(
                [
                    replace(cases[index], dialogue=Dialogue((*told[index], turn)))
                    for index, turn in zip(asked, turns, strict=True)
                ]
            )
            for index, turn, words in zip(asked, turns, written, strict=True):
                told[index].append(replace(turn, assistant=(words,)))
                answers[index].append(TurnResult(turn, Reply(tuple(_parts(words)), cases[index].seed)))
        return [CaseResult(case, tuple(given)) for case, given in zip(cases, answers, strict=True)]


def _parts(words: str) -> list[Part]:
    """An answer with a medium for each caption; a caption that says nothing of this world makes none."""
    parts: list[Part] = []
    pieces = split_captions(words.replace(EDIT, ""))
    for place in range(0, len(pieces), 3):
        if pieces[place]:
            parts.append(Text(pieces[place]))
        if place + 1 < len(pieces) and (content := parse_caption(pieces[place + 2])):
            parts.append(render(content))
    return parts
