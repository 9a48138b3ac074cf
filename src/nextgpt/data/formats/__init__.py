"""The formats in which people have corpora: a table, and how a file's format is told. A new one is one row."""

from __future__ import annotations

from nextgpt.data.corpus_file import CorpusFile
from nextgpt.data.formats import caption_pairs as pairs
from nextgpt.data.formats import instructions as dialogues
from nextgpt.data.formats import messages as own
from nextgpt.data.formats.base import Format
from nextgpt.errors import ConfigError, unknown_name_message

__all__ = ["FORMATS", "Format", "find_format"]

FORMATS: dict[str, Format] = {
    format_.name: format_ for format_ in (*own.FORMATS, *pairs.FORMATS, *dialogues.FORMATS)
}
"""By name; the first that fits is taken, so the more particular ones stand first."""


def find_format(document: CorpusFile, name: str | None = None) -> Format:
    """The format of that name, or the one that a document has.

    Raises:
        ConfigError: there is none of that name, or the document looks like none; says what it looks like.
    """
    if name is not None:
        if name not in FORMATS:
            raise ConfigError(unknown_name_message("format", name, FORMATS))
        return FORMATS[name]
    found = next((format_ for format_ in FORMATS.values() if format_.fits(document)), None)
    if found is None:
        keys = ", ".join(sorted(document.first_row)) or "none"
        raise ConfigError(
            f"{document.path} begins with the keys {keys}; expected those of one of {', '.join(FORMATS)}. "
            "Name its format, or convert it to messages_jsonl."
        )
    return found
