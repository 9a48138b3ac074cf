"""What can go wrong by a user's or a file's doing. Every message says what came, what was expected, what to do.

NextGPTError(ValueError)
├── MediaError            a picture, sound or film that cannot be read or is too large
├── ConversationError     a conversation that cannot be answered (too long, empty, media that are missing)
├── ConfigError           an unknown key, option or recipe
└── ModelError            a model folder that is missing, incomplete or damaged
    └── WeightsError      a weights file with missing, unexpected or broken tensors
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class NextGPTError(ValueError):
    """Base of every error that a user can cause and mend."""


class MediaError(NextGPTError):
    """A medium that cannot be read, or is larger than the limits allow."""


class ConversationError(NextGPTError):
    """A conversation that cannot be answered as it stands."""


class ConfigError(NextGPTError):
    """An unknown or invalid setting."""


class ModelError(NextGPTError):
    """A model folder that is missing, incomplete or damaged."""


class WeightsError(ModelError):
    """A weights file with missing, unexpected or broken tensors."""


def unknown_name_message(kind: str, name: str, known: Iterable[str]) -> str:
    """Say that ``name`` is not among ``known``, naming the nearest: ``unknown("preset", "nan", PRESETS)``."""
    choices = list(known)
    nearest = difflib.get_close_matches(name, choices, n=1)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    return f"{kind} {name!r} is unknown; expected one of {', '.join(choices)}.{hint}"
