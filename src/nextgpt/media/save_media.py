"""Where a medium is written: the suffix decides the format, and what stops the writing is said in our own words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from nextgpt.media.limits import media_error

WRITER = "NExT-GPT"
"""Named in the files, so that generated media can be told from others."""


def with_default_suffix(path: str | Path, formats: Mapping[str, str], *, default: str) -> Path:
    """Give ``path`` the default suffix where it has none. Raises :class:`MediaError` on a suffix not in ``known``."""
    path = Path(path)
    if not path.suffix:
        return path.with_suffix(default)
    if path.suffix.lower() not in formats:
        raise media_error(
            path.name,
            f"asks for the format {path.suffix}",
            f"one of {', '.join(formats)}",
            "Choose another suffix.",
        )
    return path


@contextmanager
def wrap_write_errors(path: Path) -> Iterator[None]:
    """Turn what the system refuses into a :class:`MediaError`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise media_error(
            str(path),
            f"cannot be written ({reason})",
            "a path in a folder that exists",
            "Check folder and rights.",
        ) from error
