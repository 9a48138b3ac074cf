"""The command ``nextgpt``: its list of commands, and error handling.

Commands import heavy modules when they run, so that ``--help`` answers at once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import typer
from typer.exceptions import TyperException

from nextgpt.cli.bench import bench
from nextgpt.cli.chat import chat
from nextgpt.cli.convert import app as convert
from nextgpt.cli.data import app as data
from nextgpt.cli.evaluate import evaluate
from nextgpt.cli.info import info
from nextgpt.cli.models import models
from nextgpt.cli.rate import app as rate
from nextgpt.cli.runs import app as runs
from nextgpt.cli.serve import serve
from nextgpt.cli.train import train
from nextgpt.errors import ConfigError, NextGPTError, accepted_values, unknown_name_message
from nextgpt.malloc import disable_malloc_trim

COMMANDS: dict[str, Callable[..., None]] = {
    "chat": chat,
    "info": info,
    "models": models,
    "train": train,
    "eval": evaluate,
    "bench": bench,
    "serve": serve,
}
"""A new command is one file and one entry here."""
GROUPS: dict[str, typer.Typer] = {"convert": convert, "data": data, "rate": rate, "runs": runs}
"""Groups of commands."""

OTHER_FAILURE, USER_MISTAKE = 1, 2

app = typer.Typer(
    name="nextgpt",
    help="Any mix of text, images, audio and video in; any mix of them out.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def _nextgpt() -> None:
    """Any mix of text, images, audio and video in; any mix of them out."""


for name, command in COMMANDS.items():
    app.command(name)(command)
for name, group in GROUPS.items():
    app.add_typer(group, name=name)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 done, 2 the user's mistake, 1 anything else.

    A user's mistake is printed in one line; other errors leave their traceback.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    if arguments is None:  # the process runs this command only
        disable_malloc_trim()
    try:
        if words and words[0] not in (known := [*COMMANDS, *GROUPS]) and not words[0].startswith("-"):
            raise ConfigError(unknown_name_message("command", words[0], known))
        status = app(words or ["--help"], prog_name="nextgpt", standalone_mode=False)
    except NextGPTError as error:
        return _print_error(str(error), USER_MISTAKE)
    except TyperException as error:
        return _print_error(_one_line_message(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return _print_error("Interrupted.", OTHER_FAILURE)
    return status or 0


def _one_line_message(error: TyperException) -> str:
    context = getattr(error, "ctx", None)
    hint = f" See {context.command_path} --help." if context else ""
    subject, separator, reason = error.format_message().rpartition(": ")
    message = subject + separator + accepted_values(reason)
    return message + ("" if message.endswith((".", "?")) else ".") + hint


def _print_error(message: str, status: int) -> int:
    line = " ".join(message.split())
    if line:
        print(f"nextgpt: {line}", file=sys.stderr)
    return status
