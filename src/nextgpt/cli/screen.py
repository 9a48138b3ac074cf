"""Where a chat is shown: words and media on standard output, progress and complaints on standard error."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from io import TextIOBase, TextIOWrapper
from pathlib import Path

from rich.console import Console

from nextgpt.cli.progress import Task
from nextgpt.cli.terminal import Terminal, detect, printable
from nextgpt.message import DenoisingProgress, Event, Medium, Reply, ReplyFinished, TextDelta, media_filename


class Screen:
    """Shows answers as they are made."""

    def __init__(self, out: TextIOBase, err: TextIOBase, terminal: Terminal) -> None:
        self._out = out
        self._console = Console(file=err, highlight=False, markup=False, soft_wrap=True)
        self._terminal = terminal
        self._is_midline = False

    def tell(self, events: Iterator[Event], folder: Path) -> Reply:
        """Show an answer piece by piece, writing media under ``folder`` as they come; return it when it is whole."""
        said: list[str] = []  # modalities of the parts so far
        with Task(self._console, has_lines=False) as task:
            for event in events:
                if isinstance(event, DenoisingProgress):
                    task.tell(event.modality, event.step, event.total)
                    continue
                task.clear()
                if isinstance(event, ReplyFinished):
                    self._end(event.reply)
                    return event.reply
                if isinstance(event, TextDelta):
                    self._write(event.text)
                    said += [] if said[-1:] == ["text"] else ["text"]
                else:
                    self.show(event.medium, _save(event.medium, folder, len(said)))
                    said.append(event.medium.modality)
        raise AssertionError("a reply ends with ReplyFinished")

    def waiting(self, what: str) -> AbstractContextManager[object]:
        """Show a sign of life while nothing can be told yet; nothing where standard error is no terminal."""
        return self._console.status(what) if self._console.is_terminal else nullcontext()

    def show(self, medium: Medium, path: Path) -> None:
        """Show a medium, and say where its file is."""
        self._begin_line()
        self._out.write(self._terminal.show(medium))
        self.say(f"[{medium.modality}: {path}]")

    def say(self, text: str) -> None:
        """Lines of the chat itself, not of the model."""
        self._begin_line()
        self._write(text + "\n")

    def complain(self, problem: object) -> None:
        """One line on standard error."""
        self._begin_line()
        self._console.print(" ".join(printable(str(problem)).split()), style="red")

    def _end(self, reply: Reply) -> None:
        self._begin_line()
        for dropped in reply.dropped:
            self.complain(f"Left out: {dropped}")

    def _begin_line(self) -> None:
        if self._is_midline:
            self._write("\n")

    def _write(self, text: str) -> None:
        self._out.write(printable(text))
        self._out.flush()
        self._is_midline = bool(text) and not text.endswith("\n")


def standard_screen() -> Screen:
    """The terminal that the program runs in."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # letters that the terminal's encoding has not
    columns = shutil.get_terminal_size().columns
    return Screen(sys.stdout, sys.stderr, detect(sys.stdout, os.environ, columns))


def _save(medium: Medium, folder: Path, position: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return medium.save(folder / media_filename(position, medium))
