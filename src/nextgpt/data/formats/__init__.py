"""The table of corpus formats, and their detection. A new format is one row."""

from __future__ import annotations

from nextgpt.data.corpus_file import CorpusFile
from nextgpt.data.formats import caption_pairs, instructions, messages
from nextgpt.data.formats.base import Format
from nextgpt.errors import ConfigError, unknown_name_message

__all__ = ["FORMATS", "Format", "find_format"]

FORMATS: dict[str, Format] = {
    format_.name: format_ for format_ in (*messages.FORMATS, *caption_pairs.FORMATS, *instructions.FORMATS)
}
"""Formats by name; the first match counts, so that specific formats precede general ones."""


def find_format(document: CorpusFile, name: str | None = None) -> Format:
    """Return the named format, or detect the format of a file.

    Raises:
        ConfigError: The name is unknown, or no format matches.
    """
    if name is not None:
        if name not in FORMATS:
            raise ConfigError(unknown_name_message("format", name, FORMATS))
        return FORMATS[name]
    fitting = next((format_ for format_ in FORMATS.values() if format_.fits(document)), None)
    if fitting is None:
        keys = ", ".join(sorted(document.first_row))
        problem = f"begins with the keys {keys}" if keys else "has no row with keys"
        raise ConfigError(
            f"{document.path} {problem}; expected those of one of {', '.join(FORMATS)}. "
            "Name its format, or convert it to messages_jsonl."
        )
    return fitting
