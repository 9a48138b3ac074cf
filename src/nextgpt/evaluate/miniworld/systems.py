"""Systems under test: the model, and the oracle that measures the judge.

A system takes a batch of cases and returns one result per case. Every system gets the same cases, seeds, number of
denoising steps and guidance scale.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar, runtime_checkable

from nextgpt.errors import ConversationError
from nextgpt.evaluate.miniworld.cases import CaseResult, EvalCase, TurnResult, render_message
from nextgpt.message import Conversation, Message, Reply, Sampling
from nextgpt.miniworld.language.types import DialogueTurn
from nextgpt.model.nextgpt import NextGPT

BATCH_SIZE = 64
"""Cases per batch."""
MAX_TOKENS = 200
"""Maximum tokens per reply; the longest correct replies take about half."""

Item = TypeVar("Item")


@runtime_checkable
class System(Protocol):
    """Answers cases."""

    def answer(self, cases: Sequence[EvalCase]) -> list[CaseResult]:
        """Answer all evaluated turns; results are in the order of ``cases``."""
        ...


class NextGPTSystem:
    """The model with its projections.

    Args:
        num_inference_steps: Denoising steps; ``None`` means the model's default.
    """

    def __init__(self, model: NextGPT, num_inference_steps: int | None = None) -> None:
        self._model = model
        self._num_inference_steps = num_inference_steps

    def answer(self, cases: Sequence[EvalCase]) -> list[CaseResult]:
        """Hold all dialogues in one batch, turn by turn; the model's replies stay in the conversation."""
        conversations = [_start_conversation(case) for case in cases]

        def reply(turns: Mapping[int, DialogueTurn]) -> list[Reply]:
            for index, turn in turns.items():
                conversations[index] = _append(conversations[index], render_message("user", turn.user))
            replies = self._reply([conversations[index] for index in turns], [cases[index].seed for index in turns])
            for index, reply in zip(turns, replies, strict=True):
                conversations[index] = conversations[index].with_reply(reply)
            return replies

        return answer_by_turns(cases, reply)

    def _reply(self, conversations: Sequence[Conversation], seeds: Sequence[int]) -> list[Reply]:
        """Reply to a batch; a conversation that is too long for the model gets an empty reply."""
        samplings = [
            Sampling(seed=seed, max_tokens=MAX_TOKENS, num_inference_steps=self._num_inference_steps) for seed in seeds
        ]
        try:
            return self._model.chat_batch(conversations, samplings)
        except ConversationError:
            if len(conversations) == 1:
                return [Reply(())]
            return [self._reply([item], [seed])[0] for item, seed in zip(conversations, seeds, strict=True)]


class OracleSystem:
    """Answers with the reference text and true renderings: its score is the accuracy of the judge."""

    def answer(self, cases: Sequence[EvalCase]) -> list[CaseResult]:
        """See :meth:`System.answer`."""
        return [
            CaseResult(
                case,
                tuple(
                    TurnResult(turn, Reply(render_message("assistant", turn.assistant).parts, case.seed))
                    for turn in case.evaluated_turns
                ),
            )
            for case in cases
        ]


def answer_by_turns(
    cases: Sequence[EvalCase], reply: Callable[[Mapping[int, DialogueTurn]], Sequence[Reply]]
) -> list[CaseResult]:
    """Hold all dialogues in one batch; ``reply`` gets the turns of the same number by the index of their case."""
    results: list[list[TurnResult]] = [[] for _ in cases]
    for number in range(max((len(case.evaluated_turns) for case in cases), default=0)):
        turns = {
            index: case.evaluated_turns[number]
            for index, case in enumerate(cases)
            if number < len(case.evaluated_turns)
        }
        for (index, turn), answer in zip(turns.items(), reply(turns), strict=True):
            results[index].append(TurnResult(turn, answer))
    return [CaseResult(case, tuple(turns)) for case, turns in zip(cases, results, strict=True)]


def _start_conversation(case: EvalCase) -> Conversation:
    """Return the history of the case with its reference answers."""
    conversation = Conversation()
    for turn in case.history:
        for role, parts in (("user", turn.user), ("assistant", turn.assistant)):
            conversation = _append(conversation, render_message(role, parts))
    return conversation


def _append(conversation: Conversation, message: Message) -> Conversation:
    return Conversation((*conversation.messages, message))


def batched(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """Yield slices of at most :data:`BATCH_SIZE` items."""
    return (items[start : start + BATCH_SIZE] for start in range(0, len(items), BATCH_SIZE))
