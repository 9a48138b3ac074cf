"""A chat line by line: what begins with a slash is for the chat, all else for the model."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from io import TextIOBase, TextIOWrapper
from pathlib import Path

from nextgpt.cli.loading import Chatter, loading
from nextgpt.cli.screen import Screen, standard_screen
from nextgpt.cli.start import Start
from nextgpt.cli.transcript import MEDIA, write_conversation
from nextgpt.errors import ConversationError, NextGPTError, unknown_name_message
from nextgpt.message import Conversation, Medium, Sampling

PROMPT = "you> "
LINE_LIMIT = 2**20
"""Characters of one line; what is longer is taken in pieces, so that a file without an end stays out of memory."""


@dataclass(frozen=True)
class Command:
    """What a line that begins with a slash does."""

    run: Callable[[str], None]
    help: str
    takes: str = ""
    """What must follow the name, nothing where it stands alone."""


@dataclass
class Chat:
    """One conversation at a time, and the media that wait for its next message."""

    model: Callable[[], Chatter]
    """Waits until the model is loaded."""
    screen: Screen
    folder: Path
    """Where media are written, a folder a turn."""
    sampling: Sampling
    conversation: Conversation = field(default_factory=Conversation)
    attached: list[Medium] = field(default_factory=list)
    turns: int = 0
    is_over: bool = False

    def run(self, lines: Iterable[str]) -> None:
        """Take lines until they end or one of them is ``/quit``. What fails is told; the conversation is unharmed."""
        for line in lines:
            try:
                self.take(line.strip())
            except NextGPTError as error:
                self.screen.complain(error)
            except KeyboardInterrupt:
                self.screen.complain("Stopped; the conversation is as it was before.")
            if self.is_over:
                return

    def take(self, line: str) -> None:
        """Take one line. Raises :class:`NextGPTError`."""
        if line.startswith("/"):
            self._obey(line)
        elif line:
            self.say(line)

    def say(self, text: str) -> None:
        """Say something together with what is attached, and show the answer."""
        said = self.conversation.with_message([*self.attached, text])
        self.attached = []
        self.turns += 1
        with self.screen.waiting("loading the model"):
            model = self.model()
        reply = self.screen.tell(model.stream(said, self.sampling), self.folder / f"{self.turns:02d}")
        self.conversation = said.with_reply(reply)

    @property
    def commands(self) -> dict[str, Command]:
        """Everything that a slash can begin."""
        attach = {
            f"/{name}": Command(
                partial(self._attach, name), f"send a file of {name} with the next message", "FILE"
            )
            for name in MEDIA
        }
        return attach | {
            "/save": Command(self._save, "write the conversation and its media", "DIR"),
            "/reset": Command(self._reset, "begin a new conversation"),
            "/help": Command(self._help, "show this list"),
            "/quit": Command(self._quit, "end the chat"),
        }

    def _obey(self, line: str) -> None:
        name, _, rest = line.partition(" ")
        command = self.commands.get(name)
        if command is None:
            raise ConversationError(unknown_name_message("command", name, self.commands))
        if bool(rest.strip()) != bool(command.takes):
            usage = f"{name} {command.takes}".strip()
            raise ConversationError(f"{line!r} came; expected {usage!r}. See /help.")
        command.run(rest.strip())

    def _attach(self, modality: str, rest: str) -> None:
        self.attached.append(MEDIA[modality].open(_path(rest)))
        self.screen.say(f"[{modality} attached; it goes with the next message]")

    def _save(self, rest: str) -> None:
        self.screen.say(f"[saved: {write_conversation(self.conversation, _path(rest))}]")

    def _reset(self, _: str) -> None:
        self.conversation, self.attached = Conversation(), []
        self.screen.say("[a new conversation]")

    def _help(self, _: str) -> None:
        for name, command in self.commands.items():
            self.screen.say(f"{f'{name} {command.takes}':<14} {command.help}")

    def _quit(self, _: str) -> None:
        self.is_over = True


def talk(start: Start) -> None:
    """Chat until the input ends; the model is loaded meanwhile."""
    with loading(start.model, start.placement) as loaded:
        screen = standard_screen()
        if sys.stdin.isatty():
            screen.say(
                f"{start.model}: text, pictures, sounds and films in and out. /help lists commands, /quit ends."
            )
        chat = Chat(
            lambda: loaded().model,
            screen,
            start.folder,
            start.sampling,
            conversation=start.conversation,
            attached=list(start.attached),
        )
        chat.run(read_lines(sys.stdin))
        loaded()  # a model that cannot be loaded is an error even where nothing was said


def _path(text: str) -> Path:
    """A path as it was typed or dragged in, quoted or not."""
    try:
        words = shlex.split(text)
    except ValueError:
        words = []
    path = words[0] if len(words) == 1 else text
    if "\0" in path:
        raise ConversationError("The path holds a zero byte; expected the name of a file. Type it again.")
    return Path(os.path.expanduser(path))


def read_lines(stream: TextIOBase) -> Iterator[str]:
    """Lines as they are typed after a prompt, or all lines of what is no terminal."""
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="replace")
    if not stream.isatty():
        yield from iter(partial(stream.readline, LINE_LIMIT), "")
        return
    import readline

    while True:
        try:
            yield input(PROMPT)
        except (EOFError, KeyboardInterrupt):
            print(file=sys.stdout)
            return
