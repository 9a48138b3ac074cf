"""Shorten conversations that exceed the context of the LLM by removing their oldest turns."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from nextgpt.message import Conversation, Medium, Message

TURNS_PER_STEP = 8
"""Turns that are removed together. The following requests then share a prefix, which the prefix cache holds."""


@dataclass(frozen=True)
class TruncatedConversation:
    """A conversation without its oldest turns."""

    conversation: Conversation
    num_turns: int = 0
    """Number of removed turns."""


def truncate(conversation: Conversation, fits: Callable[[Conversation], bool]) -> TruncatedConversation:
    """Remove as few steps of turns as are needed to fit; the last turn always stays.

    System messages at the beginning stay. The last medium of each modality moves to the first message that stays,
    because later turns may refer to it ("make it blue").

    ::

        system  turn 0 .. turn 7  turn 8  turn 9    ->    system  turn 8  turn 9
    """
    if fits(conversation):
        return TruncatedConversation(conversation)
    num_system = next(
        (index for index, message in enumerate(conversation) if message.role != "system"), len(conversation)
    )
    system, rest = conversation.messages[:num_system], conversation.messages[num_system:]
    starts = [index for index, message in enumerate(rest) if message.role == "user"]
    if len(starts) < 2:
        return TruncatedConversation(conversation)
    steps = [*range(TURNS_PER_STEP, len(starts) - 1, TURNS_PER_STEP), len(starts) - 1]

    def without(num_turns: int) -> Conversation:
        start = starts[num_turns]
        return Conversation((*system, *_with_last_media(rest[start:], rest[:start])))

    index = bisect_left(steps, True, key=lambda num_turns: fits(without(num_turns)))
    num_turns = steps[min(index, len(steps) - 1)]
    return TruncatedConversation(without(num_turns), num_turns)


def _with_last_media(messages: Sequence[Message], earlier: Sequence[Message]) -> Sequence[Message]:
    """Prepend the last medium of each modality in ``earlier`` that ``messages`` lack."""
    present = {medium.modality for message in messages for medium in message.media}
    last: dict[str, Medium] = {}
    for message in earlier:
        for medium in message.media:
            last[medium.modality] = medium
    kept = [medium for modality, medium in last.items() if modality not in present]
    first = replace(messages[0], parts=(*kept, *messages[0].parts))
    return (first, *messages[1:])
