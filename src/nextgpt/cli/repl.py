"""Interactive chat: lines that begin with a slash are commands, all others are messages to the model."""

from __future__ import annotations

import importlib
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from io import TextIOBase, TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from nextgpt.cli.printing import damage_note
from nextgpt.cli.retrieval import CASCADE, RetrievalOptions, RetrievingModel
from nextgpt.cli.terminal_output import TerminalOutput, standard_output
from nextgpt.conversation_file import MEDIA_TYPES, write_conversation
from nextgpt.errors import ConversationError, NextGPTError, unknown_name_message
from nextgpt.logging import silence_libraries
from nextgpt.message import Conversation, Event, Medium, Reply, Sampling
from nextgpt.model.placement import PlacementOptions

if TYPE_CHECKING:
    from nextgpt.miniworld.knowledge import Knowledge

PROMPT = "you> "
MAX_LINE_LENGTH = 2**20
"""Characters per line; longer lines are split, so that an endless file does not fill the memory."""


@runtime_checkable
class ChatModel(Protocol):
    """The methods of a model that a chat calls."""

    def stream(self, content: Conversation, sampling: Sampling) -> Iterator[Event]:
        """Reply to a conversation as a stream of events."""
        ...

    def chat(self, content: Conversation, sampling: Sampling) -> Reply:
        """Reply to a conversation."""
        ...


@dataclass(frozen=True)
class LoadedModel:
    """A model, and the seconds that importing and loading took."""

    model: ChatModel
    seconds: float


@dataclass(frozen=True)
class ChatStart:
    """The first state of a chat."""

    model: str
    conversation: Conversation
    attached: tuple[Medium, ...]
    """Media of the first message."""
    sampling: Sampling
    folder: Path
    """Media are written here."""
    placement: PlacementOptions = field(default_factory=PlacementOptions)
    retrieval: RetrievalOptions = field(default_factory=RetrievalOptions)

    def with_message(self, text: str) -> Conversation:
        """Return the conversation with its first message."""
        return self.conversation.with_message([*self.attached, text])


def load_model(
    name: str, placement: PlacementOptions = PlacementOptions(), retrieval: RetrievalOptions = RetrievalOptions()
) -> LoadedModel:
    """Load a model. Raises :class:`~nextgpt.errors.ModelError`, or :class:`ConfigError` if the index does not fit."""
    start = time.perf_counter()
    silence_libraries()
    from nextgpt import NextGPT

    if retrieval.via == CASCADE:
        return LoadedModel(_load_cascade(name, placement), time.perf_counter() - start)
    index = retrieval.open_index(name)
    model: ChatModel = NextGPT.from_pretrained(name, **placement.as_arguments())
    if index is not None:
        model = RetrievingModel(model, retrieval.resolve_via(index), index)
    return LoadedModel(model, time.perf_counter() - start)


def _load_cascade(name: str, placement: PlacementOptions) -> ChatModel:
    """Load the cascade; a folder without trained weights is enough if nothing is placed."""
    from nextgpt import NextGPT
    from nextgpt.evaluate.standard.cascade_model import Cascade

    if placement == PlacementOptions():
        return Cascade.from_pretrained(name)
    return Cascade.from_pretrained(name, NextGPT.from_pretrained(name, **placement.as_arguments()))


@contextmanager
def load_in_background(
    name: str, placement: PlacementOptions, retrieval: RetrievalOptions = RetrievalOptions()
) -> Iterator[Callable[[], LoadedModel]]:
    """Load a model in a thread; the yielded function waits for it, and raises what loading raised."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        yield pool.submit(load_model, name, placement, retrieval).result


@dataclass(frozen=True)
class Command:
    """A command of the chat."""

    run: Callable[[str], None]
    help: str
    arguments: str = ""
    """Arguments after the name; empty if it takes none."""


@dataclass
class Chat:
    """A conversation in the terminal, and the media that go with its next message."""

    model: Callable[[], ChatModel]
    """Waits until the model is loaded."""
    output: TerminalOutput
    folder: Path
    """Media are written here, in one folder per turn."""
    sampling: Sampling
    conversation: Conversation = field(default_factory=Conversation)
    attached: list[Medium] = field(default_factory=list)
    turns: int = 0
    is_over: bool = False
    name: str = ""
    """Name of the model."""

    @property
    def knowledge(self) -> Knowledge | None:
        """Content that the model knows, if it is an embedded one."""
        from nextgpt.miniworld.knowledge import knowledge_of

        return knowledge_of(self.name)

    def run(self, lines: Iterable[str]) -> None:
        """Process lines until they end or one is ``/quit``. An error is printed and changes no conversation."""
        for line in lines:
            try:
                self.process_line(line.strip())
            except NextGPTError as error:
                self.output.error(error)
            except KeyboardInterrupt:
                self.output.error("Stopped; the conversation is as it was before.")
            if self.is_over:
                return

    def process_line(self, line: str) -> None:
        """Run a command or send a message. Raises :class:`NextGPTError`."""
        if line.startswith("/"):
            self._run_command(line)
        elif line:
            self.send(line)

    def send(self, text: str) -> None:
        """Send a message with the attached media, and show the reply."""
        conversation = self.conversation.with_message([*self.attached, text])
        self.attached = []
        self.turns += 1
        with self.output.status("loading the model"):
            model = self.model()
        events = model.stream(conversation, self.sampling)
        reply = self.output.stream(events, self.folder / f"{self.turns:02d}")
        self.conversation = conversation.with_reply(reply)

    @property
    def commands(self) -> dict[str, Command]:
        """All commands by name."""
        attach = {
            f"/{name}": Command(partial(self._attach, name), f"send a file of {name} with the next message", "FILE")
            for name in MEDIA_TYPES
        }
        return attach | {
            "/save": Command(self._save, "write the conversation and its media", "DIR"),
            "/reset": Command(self._reset, "begin a new conversation"),
            "/help": Command(self._help, "show this list"),
            "/quit": Command(self._quit, "end the chat"),
        }

    def _run_command(self, line: str) -> None:
        name, _, argument = line.partition(" ")
        command = self.commands.get(name)
        if command is None:
            raise ConversationError(unknown_name_message("command", name, self.commands))
        if bool(argument.strip()) != bool(command.arguments):
            usage = f"{name} {command.arguments}".strip()
            raise ConversationError(f"Got {line!r}; expected {usage!r}. See /help.")
        command.run(argument.strip())

    def _attach(self, modality: str, argument: str) -> None:
        medium = MEDIA_TYPES[modality].open(path := _path(argument))
        self.attached.append(medium)
        if note := damage_note(path, medium):
            self.output.error(note)
        self.output.print(f"[{modality} attached; it goes with the next message]")

    def _save(self, argument: str) -> None:
        self.output.print(f"[saved: {write_conversation(self.conversation, _path(argument))}]")

    def _reset(self, _: str) -> None:
        self.conversation, self.attached = Conversation(), []
        self.output.print("[a new conversation]")

    def _help(self, _: str) -> None:
        for name, command in self.commands.items():
            self.output.print(f"{f'{name} {command.arguments}':<14} {command.help}")
        if self.knowledge is not None:
            self.output.print(f"\n{self.name} knows a small world:")
            for line in self.knowledge.lines():
                self.output.print(line)

    def _quit(self, _: str) -> None:
        self.is_over = True


def run_repl(start: ChatStart) -> None:
    """Chat until the input ends; the model is loaded in the meantime."""
    with load_in_background(start.model, start.placement, start.retrieval) as loaded:
        output = standard_output()
        if sys.stdin.isatty():
            output.print(f"{start.model}: text, images, audio and video in and out. /help lists commands, /quit ends.")
        chat = Chat(
            lambda: loaded().model,
            output,
            start.folder,
            start.sampling,
            conversation=start.conversation,
            attached=list(start.attached),
            name=start.model,
        )
        chat.run(read_lines(sys.stdin))
        loaded()  # raises loading errors even if no message was sent


def _path(text: str) -> Path:
    """Parse a path that was typed or dragged in, quoted or not."""
    try:
        words = shlex.split(text)
    except ValueError:
        words = []
    path = words[0] if len(words) == 1 else text
    if "\0" in path:
        raise ConversationError("The path holds a zero byte; expected the name of a file. Type it again.")
    try:
        return Path(path).expanduser()
    except RuntimeError:  # no such user: report the path as it is
        return Path(path)


def read_lines(stream: TextIOBase) -> Iterator[str]:
    """Yield lines that are typed after a prompt, or all lines if ``stream`` is no terminal."""
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="replace")
    if not stream.isatty():
        yield from iter(partial(stream.readline, MAX_LINE_LENGTH), "")
        return
    importlib.import_module("readline")  # gives input() line editing and history

    while True:
        try:
            yield input(PROMPT)
        except (EOFError, KeyboardInterrupt):
            print(file=sys.stdout)
            return
