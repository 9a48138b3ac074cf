"""Results for programs: one JSON object on standard output, all else on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from typing import Any


def print_json(make: Callable[[], Mapping[str, Any]]) -> None:
    """Print what ``make`` returns; whatever libraries print while it works goes to standard error."""
    with redirect_stdout(sys.stderr):
        result = make()
    print(json.dumps(result, ensure_ascii=False))
