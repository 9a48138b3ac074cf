"""Interface of the systems, and the adapter that makes one of anything that chats."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from nextgpt.conversation_file import MEDIA_TYPES
from nextgpt.errors import ConversationError, MediaError
from nextgpt.evaluate.standard.items import EvalItem, MediumEntry, MessageEntry, TextEntry
from nextgpt.message import Conversation, Medium, Message, Reply, Sampling, Text

MAX_TOKENS = 200
"""Maximum tokens per reply."""


@runtime_checkable
class ItemSystem(Protocol):
    """Answers items."""

    def answer(self, items: Sequence[EvalItem], seeds: Sequence[int]) -> list[Reply]:
        """Answer a batch; replies are in the order of ``items``.

        Raises:
            ConversationError, MediaError: An item cannot be answered. The batch is then repeated item by item.
        """
        ...


@runtime_checkable
class ChatModel(Protocol):
    """Replies to conversations, as :class:`~nextgpt.model.nextgpt.NextGPT` does."""

    def chat_batch(self, conversations: Sequence[Conversation], sampling: Sequence[Sampling]) -> list[Reply]:
        """Reply to several conversations."""
        ...


class ChatSystem:
    """Answers the request of each item with a chat model.

    Args:
        data: Folder that the media paths of items are relative to.
        num_inference_steps: Denoising steps; ``None`` means the model's default.
    """

    def __init__(self, model: ChatModel, data: Path, num_inference_steps: int | None = None) -> None:
        self._model = model
        self._data = data
        self._num_inference_steps = num_inference_steps

    def answer(self, items: Sequence[EvalItem], seeds: Sequence[int]) -> list[Reply]:
        """See :meth:`ItemSystem.answer`."""
        conversations = [open_conversation(item.request, self._data) for item in items]
        return self._model.chat_batch(conversations, item_samplings(seeds, self._num_inference_steps))


def item_samplings(seeds: Sequence[int], num_inference_steps: int | None = None) -> list[Sampling]:
    """Return greedy decoding with the seed of each item."""
    return [Sampling(seed=seed, max_tokens=MAX_TOKENS, num_inference_steps=num_inference_steps) for seed in seeds]


def open_conversation(messages: Sequence[MessageEntry], data: Path) -> Conversation:
    """Open the media of a conversation. Raises :class:`~nextgpt.errors.MediaError`."""

    def part(entry: TextEntry | MediumEntry) -> Text | Medium:
        return Text(entry.text) if isinstance(entry, TextEntry) else open_medium(entry, data)

    return Conversation(tuple(Message(entry.role, tuple(map(part, entry.parts))) for entry in messages))


def open_medium(entry: MediumEntry, folder: Path) -> Medium:
    """Open a medium. Raises :class:`~nextgpt.errors.MediaError`."""
    return MEDIA_TYPES[entry.type].open(folder / entry.path)


def answer_each(system: ItemSystem, items: Sequence[EvalItem], seeds: Sequence[int]) -> list[Reply | str]:
    """Answer a batch; an item that cannot be answered gets the reason in place of a reply."""
    try:
        return list(system.answer(items, seeds))
    except (ConversationError, MediaError) as error:
        if len(items) == 1:
            return [" ".join(str(error).split())]
        return [answer_each(system, [item], [seed])[0] for item, seed in zip(items, seeds, strict=True)]
