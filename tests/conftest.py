"""Shape and type checks are on wherever tests run: every annotation of the package is checked at each call."""

from __future__ import annotations

import sys
from pathlib import Path

import jaxtyping

# The checker is found by name, in whichever way pytest imports the tests.
sys.path.insert(0, str(Path(__file__).parent))
# Before anything of the package is imported; modules that are loaded already stay unchecked.
jaxtyping.install_import_hook("nextgpt", "typechecks.checked")
