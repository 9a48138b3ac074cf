"""Output files of media: formats by suffix, and operating-system errors as :class:`MediaError`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from nextgpt.media.limits import media_error

WRITER = "NExT-GPT"
"""Written into the metadata of generated media."""


def with_default_suffix(path: str | Path, formats: Mapping[str, str], *, default: str) -> Path:
    """Add the default suffix if ``path`` has none. Raises :class:`MediaError` on a suffix not in ``known``."""
    path = Path(path)
    if not path.suffix:
        return path.with_suffix(default)
    if path.suffix.lower() not in formats:
        raise media_error(
            path.name, f"has the suffix {path.suffix}", f"one of {', '.join(formats)}", "Choose another suffix."
        )
    return path


@contextmanager
def wrap_write_errors(path: Path) -> Iterator[None]:
    """Convert :class:`OSError` to :class:`MediaError`."""
    try:
        yield
    except (FileExistsError, NotADirectoryError) as error:
        raise media_error(
            str(path), "cannot be written, because it or a parent is a file", "a folder", "Choose another path."
        ) from error
    except OSError as error:
        reason = error.strerror or error
        raise media_error(
            str(path), f"cannot be written ({reason})", "a path in a folder that exists", "Check folder and rights."
        ) from error
