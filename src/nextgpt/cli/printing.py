"""Results on standard output: one JSON object, or a table."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import rich.table

    from nextgpt.message import Medium

FILE_COLUMNS = 160
"""Width of tables that are not written to a terminal."""


def print_json(make: Callable[[], Mapping[str, Any]]) -> None:
    """Print the result of ``make``; output of libraries goes to standard error meanwhile."""
    with redirect_stdout(sys.stderr):
        result = make()
    print(json.dumps(result))  # escaped, so that every terminal and every path can be printed


def damage_note(path: Path, medium: Medium) -> str:
    """Return one line on what of a file could not be read; empty if nothing was lost."""
    return f"{path.name} is damaged: {medium.damage}. The rest is used." if medium.damage else ""


def print_table(table: rich.table.Table) -> None:
    """Print a table as wide as the terminal, or :data:`FILE_COLUMNS` wide without one."""
    from rich.console import Console

    is_terminal = sys.stdout.isatty()
    Console(width=None if is_terminal else FILE_COLUMNS).print(table)
