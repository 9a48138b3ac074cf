"""With what a chat begins: everything that can be wrong in its options is found before a model is loaded."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from nextgpt.cli.memory import Placement
from nextgpt.cli.transcript import MEDIA, read_conversation
from nextgpt.media.save_media import wrap_write_errors
from nextgpt.message import Conversation, Medium, Sampling


@dataclass(frozen=True)
class Start:
    """The first state of a chat."""

    model: str
    conversation: Conversation
    attached: tuple[Medium, ...]
    """Media of the first message."""
    sampling: Sampling
    folder: Path
    """Where media are written."""
    placement: Placement = field(default_factory=Placement)

    def say(self, text: str) -> Conversation:
        """The conversation after its first message."""
        return self.conversation.with_message([*self.attached, text])


@contextmanager
def begin(
    model: str,
    files: Mapping[str, Sequence[Path]],
    *,
    history: Path | None,
    seed: int,
    out: Path | None,
    placement: Placement = Placement(),
) -> Iterator[Start]:
    """Read what was given, ``files`` by modality. Raises :class:`~nextgpt.errors.NextGPTError`."""
    attached = tuple(MEDIA[modality].open(path) for modality, paths in files.items() for path in paths)
    earlier = Conversation() if history is None else read_conversation(history)
    with _folder(out) as folder:
        yield Start(model, earlier, attached, Sampling(seed=seed), folder, placement)


@contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    """The folder of media; a temporary one goes again if it stayed empty."""
    if out is not None:
        with wrap_write_errors(out):
            out.mkdir(parents=True, exist_ok=True)
        yield out
        return
    folder = Path(tempfile.mkdtemp(prefix="nextgpt-"))
    try:
        yield folder
    finally:
        with suppress(OSError):  # it holds media
            folder.rmdir()
