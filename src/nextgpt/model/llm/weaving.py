"""A conversation as one woven sequence: token ids, with a slot wherever a person gave a medium.

Knows tokens and templates, not tensors; :meth:`~.language_model.LanguageModel.embed` fills the slots.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass

from nextgpt.message import Conversation, Medium, Message, Text
from nextgpt.model.llm.signal_tokens import SignalIds
from nextgpt.model.llm.template import MODALITY, Template
from nextgpt.model.llm.text_codec import TextCodec


@dataclass(frozen=True)
class Tokens:
    """A stretch of token ids."""

    ids: tuple[int, ...]
    is_target: bool = False
    """Whether the assistant says it: what training teaches."""


@dataclass(frozen=True)
class MediaSlot:
    """The place of a given medium; K soft tokens come here."""

    medium: Medium


@dataclass(frozen=True)
class Prompt:
    """A woven conversation."""

    pieces: tuple[Tokens | MediaSlot, ...]

    @property
    def media(self) -> list[Medium]:
        """What is to be encoded, in the order of the slots."""
        return [piece.medium for piece in self.pieces if isinstance(piece, MediaSlot)]

    @property
    def stretches(self) -> list[Tokens]:
        """The stretches of tokens, in order."""
        return [piece for piece in self.pieces if isinstance(piece, Tokens)]

    @property
    def token_ids(self) -> list[int]:
        """All token ids in order, media left out."""
        return [token_id for stretch in self.stretches for token_id in stretch.ids]

    def length(self, soft_tokens: int) -> int:
        """Positions in the LLM, with ``soft_tokens`` for each medium."""
        return sum(len(piece.ids) if isinstance(piece, Tokens) else soft_tokens for piece in self.pieces)

    def keys(self, soft_tokens: int) -> list[Hashable]:
        """One key a position: the token id, or (digest, k) for soft token k of a medium. Equal keys, equal content."""
        return [
            key
            for piece in self.pieces
            for key in (
                piece.ids
                if isinstance(piece, Tokens)
                else ((piece.medium.digest, k) for k in range(soft_tokens))
            )
        ]


_Atom = tuple[str | int | Medium, bool]
"""Words, the id of a marker or signal token, or a given medium; and whether the assistant says it."""


@dataclass(frozen=True)
class Weaver:
    """Lays conversations out by a template.

    Before, as messages::

        user: "What is" <picture> "?"    assistant: "A cat, look:" <picture made>    user: "Thanks"

    after, with ``nano``'s template and ``is_answering``::

        <|user|> What is [slot] ? <|end|> <|assistant|> A cat, look: [IMG0][IMG1][IMG2][IMG3] <|end|>
        <|user|> Thanks <|end|> <|assistant|>
    """

    codec: TextCodec
    template: Template
    signals: SignalIds

    def weave(
        self,
        conversation: Conversation,
        *,
        is_answering: bool,
        is_edit: Callable[[Medium], bool] = lambda medium: False,
    ) -> Prompt:
        """Lay out a conversation.

        ``is_answering`` opens a turn of the assistant at the end. ``is_edit`` says whether a medium that the assistant
        made was an edit, which its run then says too.
        """
        atoms = self._atoms(conversation, is_answering, is_edit)
        return Prompt(tuple(_merge(self._encoded(_join_words(atoms)))))

    def _atoms(
        self, conversation: Conversation, is_answering: bool, is_edit: Callable[[Medium], bool]
    ) -> Iterator[_Atom]:
        roles = [message.role for message in conversation]
        surroundings = self.template.surroundings(roles, is_answering=is_answering)
        yield from self._markers(surroundings[0])
        for message, surrounding in zip(conversation, surroundings[1:], strict=True):
            yield from self._content(message, is_edit)
            end = self.template.end_of_turn
            if message.role == "assistant" and surrounding.startswith(end):
                yield from self._markers(end, is_target=True)
                surrounding = surrounding[len(end) :]
            yield from self._markers(surrounding)

    def _content(self, message: Message, is_edit: Callable[[Medium], bool]) -> Iterator[_Atom]:
        is_target = message.role == "assistant"
        for part in message.parts:
            if isinstance(part, Text):
                yield part.text, is_target
            elif is_target:
                edit = (self.signals.edit,) if is_edit(part) else ()
                yield from ((token_id, True) for token_id in (*edit, *self.signals.run(part.modality)))
            else:
                yield from self._markers(self.template.media_open.replace(MODALITY, part.modality))
                yield part, False
                yield from self._markers(self.template.media_close.replace(MODALITY, part.modality))

    def _markers(self, text: str, is_target: bool = False) -> Iterator[_Atom]:
        return ((piece, is_target) for piece in self.codec.split_markers(text))

    def _encoded(self, atoms: Iterator[_Atom]) -> Iterator[Tokens | MediaSlot]:
        for content, is_target in atoms:
            if isinstance(content, str):
                yield Tokens(tuple(self.codec.encode(content)), is_target)
            elif isinstance(content, int):
                yield Tokens((content,), is_target)
            else:
                yield MediaSlot(content)


def _join_words(atoms: Iterator[_Atom]) -> Iterator[_Atom]:
    """Join words that stand side by side, so that they are tokenized as one text.

    Words of the assistant stay apart from the template's, as they do while it speaks.
    """
    words, is_spoken = "", False
    for content, is_target in atoms:
        if words and not (isinstance(content, str) and is_target == is_spoken):
            yield words, is_spoken
            words = ""
        if isinstance(content, str):
            words, is_spoken = words + content, is_target
        else:
            yield content, is_target
    if words:
        yield words, is_spoken


def _merge(pieces: Iterator[Tokens | MediaSlot]) -> Iterator[Tokens | MediaSlot]:
    """Join stretches of tokens that stand side by side and are alike."""
    last: Tokens | None = None
    for piece in pieces:
        if isinstance(piece, Tokens) and last is not None and piece.is_target == last.is_target:
            last = Tokens(last.ids + piece.ids, piece.is_target)
            continue
        if last is not None:
            yield last
            last = None
        if isinstance(piece, Tokens):
            last = piece
        else:
            yield piece
    if last is not None:
        yield last
