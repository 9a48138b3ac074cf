"""Sample replies of the model in training, to the same few requests, as files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nextgpt.errors import MediaError
from nextgpt.message import Conversation, Part, Text, media_filename
from nextgpt.model.nextgpt import NextGPT
from nextgpt.train.dataset import DialogueSource


@dataclass(frozen=True)
class SampleCallback:
    """Answers requests and writes the replies."""

    model: NextGPT
    requests: Mapping[str, Conversation]
    folder: Path
    """Receives a folder per step, with one per request."""
    writes: bool = True
    """True if this process writes; with sharded weights all answer and one writes."""

    def __call__(self, step: int) -> dict[str, Sequence[Part]]:
        """Answer all requests; write and return the replies by name."""
        was_training = self.model.training
        self.model.eval()
        try:
            replies = self.model.chat_batch(list(self.requests.values()))
        finally:
            self.model.train(was_training)
        if not self.writes:
            return {}
        parts_by_name = {name: reply.parts for name, reply in zip(self.requests, replies, strict=True)}
        for name, parts in parts_by_name.items():
            self._write(self.folder / f"step-{step:08d}" / name, self.requests[name], parts)
        return parts_by_name

    def _write(self, folder: Path, request: Conversation, parts: Sequence[Part]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for index, part in enumerate(parts):
            if not isinstance(part, Text):
                part.save(folder / media_filename(index, part))
        content = {
            "request": [_describe_part(*row) for message in request for row in enumerate(message.parts)],
            "reply": [_describe_part(*row) for row in enumerate(parts)],
        }
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        (folder / "reply.json").write_text(text, encoding="utf-8")


def _describe_part(index: int, part: Part) -> dict[str, str]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    return {"type": part.modality, "path": media_filename(index, part)}


def sample_requests(sources: Sequence[DialogueSource], count: int) -> dict[str, Conversation]:
    """Return the first requests of ``count`` dialogues, taken from the sources in turn; skips invalid media."""
    iterators = {source.name: _requests(source) for source in sources}
    requests: dict[str, Conversation] = {}
    while iterators and len(requests) < count:
        for name, iterator in list(iterators.items()):
            request = next(iterator, None)
            if request is None:
                del iterators[name]
            elif len(requests) < count:
                requests[f"{len(requests):02d}-{name}"] = request
    return requests


def _requests(source: DialogueSource) -> Iterator[Conversation]:
    for index in range(len(source)):
        dialogue = source.dialogue(index)
        first = next((n for n, turn in enumerate(dialogue.turns) if turn.role == "assistant"), 0)
        if first == 0:
            continue
        try:
            media = {id(medium): medium.open() for turn in dialogue.turns[:first] for medium in turn.media}
        except MediaError:
            continue
        conversation = dialogue.conversation(lambda medium, media=media: media.get(id(medium), Text("")))
        yield Conversation(conversation.messages[:first])
