"""Where a medium is written: the suffix decides the format, and what stops the writing is said in our own words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from nextgpt.media.limits import refusal

WRITER = "NExT-GPT"
"""Named in the files, so that generated media can be told from others."""


def with_suffix(path: str | Path, known: Mapping[str, str], *, default: str) -> Path:
    """Give ``path`` the default suffix where it has none. Raises :class:`MediaError` on a suffix not in ``known``."""
    path = Path(path)
    if not path.suffix:
        return path.with_suffix(default)
    if path.suffix.lower() not in known:
        raise refusal(
            path.name,
            f"asks for the format {path.suffix}",
            f"one of {', '.join(known)}",
            "Choose another suffix.",
        )
    return path


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the system refuses into a :class:`MediaError`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise refusal(
            str(path),
            f"cannot be written ({reason})",
            "a path in a folder that exists",
            "Check folder and rights.",
        ) from error
