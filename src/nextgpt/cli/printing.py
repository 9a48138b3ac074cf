"""Results on standard output: one JSON object for programs, or a table for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import rich.table

FILE_COLUMNS = 160
"""Width of a table that is written where there is no terminal."""


def print_json(make: Callable[[], Mapping[str, Any]]) -> None:
    """Print what ``make`` returns; whatever libraries print while it works goes to standard error."""
    with redirect_stdout(sys.stderr):
        result = make()
    print(json.dumps(result))  # escaped, so that every terminal and every path can be printed


def print_table(table: rich.table.Table) -> None:
    """Print a table as wide as the terminal, or wide enough to be searched where there is none."""
    from rich.console import Console

    is_terminal = sys.stdout.isatty()
    Console(width=None if is_terminal else FILE_COLUMNS).print(table)
