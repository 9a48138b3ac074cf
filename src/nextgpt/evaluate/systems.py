"""Who answers: the model, and those that it is compared with.

A player takes cases, holds all of them side by side, and gives attempts. Every player gets the same cases, seeds, steps
and guidance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar, runtime_checkable

from nextgpt.errors import ConversationError
from nextgpt.evaluate.cases import CaseResult, EvalCase, TurnResult, render_message
from nextgpt.message import Conversation, Message, Reply, Sampling
from nextgpt.model.nextgpt import NextGPT

BATCH_SIZE = 64
"""Cases that are played side by side."""
MAX_TOKENS = 200
"""Of one answer: the longest right ones take about half."""

Item = TypeVar("Item")


@runtime_checkable
class System(Protocol):
    """Answers cases."""

    def answer(self, cases: Sequence[EvalCase]) -> list[CaseResult]:
        """Answer every turn that is asked; attempts come in the order of the cases."""
        ...


class NextGPTSystem:
    """The model itself, which hears and speaks through its projections.

    Args:
        steps: Of denoising; ``None`` means the model's own settings.
    """

    def __init__(self, model: NextGPT, steps: int | None = None) -> None:
        self._model = model
        self._steps = steps

    def answer(self, cases: Sequence[EvalCase]) -> list[CaseResult]:
        """Hold all dialogues side by side, turn by turn; what was answered stays in the dialogue."""
        talks = [_begin(case) for case in cases]
        answers: list[list[TurnResult]] = [[] for _ in cases]
        for number in range(max((len(case.evaluated_turns) for case in cases), default=0)):
            asked = [index for index, case in enumerate(cases) if number < len(case.evaluated_turns)]
            for index in asked:
                talks[index] = _add(
                    talks[index], render_message("user", cases[index].evaluated_turns[number].user)
                )
            replies = self._answer([talks[index] for index in asked], [cases[index].seed for index in asked])
            for index, reply in zip(asked, replies, strict=True):
                answers[index].append(TurnResult(cases[index].evaluated_turns[number], reply))
                talks[index] = talks[index].with_reply(reply)
        return [CaseResult(case, tuple(given)) for case, given in zip(cases, answers, strict=True)]

    def _answer(self, talks: Sequence[Conversation], seeds: Sequence[int]) -> list[Reply]:
        """Answer a batch; where one conversation is too long for the model, it alone gets no answer."""
        samplings = [
            Sampling(seed=seed, max_tokens=MAX_TOKENS, num_inference_steps=self._steps) for seed in seeds
        ]
        try:
            return self._model.chat_batch(talks, samplings)
        except ConversationError:
            if len(talks) == 1:
                return [Reply(())]
            return [self._answer([talk], [seed])[0] for talk, seed in zip(talks, seeds, strict=True)]


class OracleSystem:
    """Answers as it should: with the true words, and true renderings of all media. It shows what the judge is worth."""

    def answer(self, cases: Sequence[EvalCase]) -> list[CaseResult]:
        """See :meth:`Player.play`."""
        attempts = []
        for case in cases:
            replies = [
                Reply(render_message("assistant", turn.assistant).parts, case.seed)
                for turn in case.evaluated_turns
            ]
            attempts.append(
                CaseResult(
                    case, tuple(TurnResult(*pair) for pair in zip(case.evaluated_turns, replies, strict=True))
                )
            )
        return attempts


def _begin(case: EvalCase) -> Conversation:
    """The conversation up to the first turn that is asked, with the true answers."""
    talk = Conversation()
    for turn in case.history:
        talk = _add(
            _add(talk, render_message("user", turn.user)), render_message("assistant", turn.assistant)
        )
    return talk


def _add(talk: Conversation, said: Message) -> Conversation:
    return Conversation((*talk.messages, said))


def batched(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """``items`` in runs of at most :data:`BATCH`."""
    return (items[start : start + BATCH_SIZE] for start in range(0, len(items), BATCH_SIZE))
