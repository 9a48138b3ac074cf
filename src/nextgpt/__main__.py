"""``python -m nextgpt`` and the command ``nextgpt``."""

from __future__ import annotations

import sys

from nextgpt.cli.app import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
