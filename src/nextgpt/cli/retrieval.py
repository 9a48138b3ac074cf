"""Options ``--index`` and ``--via``, and a model that replies with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from typer import Option

from nextgpt.errors import ConfigError

if TYPE_CHECKING:
    from nextgpt.data.index import MediaIndex
    from nextgpt.message import Conversation, Event, Reply, Sampling
    from nextgpt.model.nextgpt import NextGPT

IndexDir = Annotated[
    Path | None,
    Option("--index", metavar="DIR", help="Index from which media may be retrieved; see nextgpt data index."),
]
CASCADE = "cascade"
ChatVia = Literal["generate", "retrieve", "auto", "cascade"]
"""Values of :data:`nextgpt.message.Via`, whose import would make ``--help`` slow, and the cascade."""
ViaOption = Annotated[
    ChatVia | None,
    Option(
        "--via",
        help="Origin of media. Default: generate; with a calibrated --index: auto, with another one: retrieve. "
        "cascade: the LLM writes captions, which the synthesizers' text encoders read.",
    ),
]


@dataclass(frozen=True)
class RetrievalOptions:
    """Values of the two options."""

    index_dir: Path | None = None
    via: ChatVia | None = None

    def __post_init__(self) -> None:
        if self.index_dir is None and self.via not in (None, "generate", CASCADE):
            raise ConfigError(f"--via {self.via} needs an index; expected --index DIR. See nextgpt data index --help.")
        if self.index_dir is not None and self.via == CASCADE:
            raise ConfigError("--via cascade uses no index; expected no --index. Omit one of the two.")

    def open_index(self, model: str) -> MediaIndex | None:
        """Open the index and check that it fits ``model``. Raises :class:`ConfigError`."""
        if self.index_dir is None:
            return None
        from nextgpt.data.index import MediaIndex

        index = MediaIndex.open(self.index_dir)
        index.check_text_encoders(model)
        if self.via == "auto" and not index.thresholds:
            raise ConfigError(f"--via auto needs calibrated scores. Run nextgpt data calibrate {self.index_dir}.")
        return index

    def resolve_via(self, index: MediaIndex | None) -> ChatVia:
        """Return the origin of media that is meant if none is given."""
        if self.via is not None or index is None:
            return self.via or "generate"
        return "auto" if index.thresholds else "retrieve"


@dataclass(frozen=True)
class RetrievingModel:
    """A model whose media may come from an index."""

    model: NextGPT
    via: Via
    index: MediaIndex

    def stream(self, content: Conversation, sampling: Sampling) -> Iterator[Event]:
        """Reply to a conversation as a stream of events."""
        return self.model.stream(content, sampling, via=self.via, index=self.index)

    def chat(self, content: Conversation, sampling: Sampling) -> Reply:
        """Reply to a conversation."""
        return self.model.chat(content, sampling, via=self.via, index=self.index)
