"""Errors that users or their files cause. Every message states what is wrong, what is accepted, and how to fix it.

NextGPTError(ValueError)
├── MediaError            a medium that cannot be read or is too large
│   └── MissingStreamError  a file without a stream of the requested modality; another modality may be in it
├── ConversationError     a conversation that cannot be answered (too long, empty, media that are missing)
├── ConfigError           an unknown key, option or recipe
└── ModelError            a model folder that is missing, incomplete or damaged
    └── WeightsError      a weights file with missing, unexpected or broken tensors
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class NextGPTError(ValueError):
    """Base of every error that a user can cause and fix."""


class MediaError(NextGPTError):
    """A medium that cannot be read, or is larger than the limits allow."""


class MissingStreamError(MediaError):
    """A file without a stream of the requested modality. Only this error is a reason to try another modality."""


class ConversationError(NextGPTError):
    """A conversation that cannot be answered as it stands."""


class ConfigError(NextGPTError):
    """An unknown or invalid setting."""


class ModelError(NextGPTError):
    """A model folder that is missing, incomplete or damaged."""


class WeightsError(ModelError):
    """A weights file with missing, unexpected or broken tensors."""


_PLAIN_REASONS = {"Field required": "key is missing", "Extra inputs are not permitted": "key is unknown"}


def accepted_values(reason: str) -> str:
    """Return a message of pydantic in this project's words: "Input should be an integer" -> "expected an integer"."""
    if reason in _PLAIN_REASONS:
        return _PLAIN_REASONS[reason]
    reason = reason.removeprefix("Value error, ")
    accepted = reason.removeprefix("Input should be ")
    if accepted == reason:
        return reason
    accepted = accepted.partition(", unable to")[0]
    return f"expected {'a value ' if accepted.startswith(('greater', 'less')) else ''}{accepted}"


def unknown_name_message(kind: str, name: str, known: Iterable[str]) -> str:
    """Return a message that lists ``known`` and the nearest name."""
    choices = list(known)
    nearest = difflib.get_close_matches(name, choices, n=1)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    return f"{kind} {name!r} is unknown; expected one of {', '.join(choices)}.{hint}"
