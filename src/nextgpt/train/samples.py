"""What the model in training answers to a few requests, always the same ones, as files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nextgpt.errors import MediaError
from nextgpt.message import Conversation, Part, Text, media_filename
from nextgpt.model.nextgpt import NextGPT
from nextgpt.train.corpora import Source


@dataclass(frozen=True)
class Samples:
    """Requests, and where the answers go."""

    model: NextGPT
    requests: Mapping[str, Conversation]
    folder: Path
    """Takes a folder for each step, and in it one for each request."""
    writes: bool = True
    """Whether this process writes; where weights are sharded, all must answer and one writes."""

    def answer(self, step: int) -> dict[str, Sequence[Part]]:
        """Answer all requests; write and return what this process is to show."""
        was_training = self.model.training
        self.model.eval()
        try:
            replies = self.model.chat_batch(list(self.requests.values()))
        finally:
            self.model.train(was_training)
        if not self.writes:
            return {}
        answers = {name: reply.parts for name, reply in zip(self.requests, replies, strict=True)}
        for name, parts in answers.items():
            self._write(self.folder / f"step-{step:08d}" / name, self.requests[name], parts)
        return answers

    def _write(self, folder: Path, request: Conversation, parts: Sequence[Part]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        told = [_told(number, part) for number, part in enumerate(parts)]
        for number, part in enumerate(parts):
            if not isinstance(part, Text):
                part.save(folder / media_filename(number, part))
        asked = [_told(number, part) for message in request for number, part in enumerate(message.parts)]
        content = json.dumps({"asked": asked, "answered": told}, indent=1, ensure_ascii=False)
        (folder / "answer.json").write_text(content + "\n", encoding="utf-8")


def _told(number: int, part: Part) -> dict[str, str]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    return {"type": part.modality, "path": media_filename(number, part)}


def requests_of(sources: Sequence[Source], count: int) -> dict[str, Conversation]:
    """What persons say first in ``count`` dialogues, of the sources in turn; what is broken is passed over."""
    walks = {source.name: _requests(source) for source in sources}
    found: dict[str, Conversation] = {}
    while walks and len(found) < count:
        for name, walk in list(walks.items()):
            request = next(walk, None)
            if request is None:
                del walks[name]
            elif len(found) < count:
                found[f"{len(found):02d}-{name}"] = request
    return found


def _requests(source: Source) -> Iterator[Conversation]:
    for index in range(len(source)):
        dialogue = source.dialogue(index)
        first = next((n for n, turn in enumerate(dialogue.turns) if turn.role == "assistant"), 0)
        if first == 0:
            continue
        try:
            opened = {id(medium): medium.open() for turn in dialogue.turns[:first] for medium in turn.media}
        except MediaError:
            continue
        conversation = dialogue.conversation(lambda medium, known=opened: known.get(id(medium), Text("")))
        yield Conversation(conversation.messages[:first])
