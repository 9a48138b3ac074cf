"""Tokens of captions: the PTB tokenizer of coco-caption through Java, or a plain one where either is missing."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from nextgpt.errors import ConfigError

PACKAGE = "pycocoevalcap"
INSTALL = "Install Java and run `pip install 'nextgpt[eval]'`."
TOKENIZER_JAR = "tokenizer/stanford-corenlp-3.4.1.jar"
BRACKETS = ("-LRB-", "-RRB-", "-LCB-", "-RCB-")
PUNCTUATION = frozenset(("''", "'", "``", "`", *BRACKETS, ".", "?", "!", ",", ":", "-", "--", "...", ";"))
"""Tokens that coco-caption removes."""
_PLAIN_TOKEN = re.compile(r"n't|'\w+|\w+?(?=n't)|\w+|[^\w\s]", re.IGNORECASE)


@dataclass(frozen=True)
class TokenizedCaptions:
    """Tokens of one text and its references per item."""

    texts: tuple[tuple[str, ...], ...]
    references: tuple[tuple[tuple[str, ...], ...], ...]
    tokenizer: str
    """``ptb``, or ``plain``: values then differ from published ones by some tenths of a point."""


def find_jar(name: str) -> Path | None:
    """Return the path of a jar of pycocoevalcap; None if it or Java is missing."""
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations or shutil.which("java") is None:
        return None
    path = Path(spec.submodule_search_locations[0]) / name
    return path if path.exists() else None


def tokenize_captions(texts: Sequence[str], references: Sequence[Sequence[str]]) -> TokenizedCaptions:
    """Tokenize as coco-caption does: lower case, PTB tokens, no punctuation."""
    return _tokenize_captions(tuple(texts), tuple(map(tuple, references)), find_jar(TOKENIZER_JAR))


@lru_cache(maxsize=16)  # the metrics of a run share the captions of its systems; each start of Java takes a second
def _tokenize_captions(
    texts: tuple[str, ...], references: tuple[tuple[str, ...], ...], jar: Path | None
) -> TokenizedCaptions:
    flat = [*texts, *(reference for group in references for reference in group)]
    tokens = iter(ptb_tokenize(flat, jar) if jar else map(plain_tokenize, flat))
    tokenized_texts = tuple(next(tokens) for _ in texts)
    groups = tuple(tuple(next(tokens) for _ in group) for group in references)
    return TokenizedCaptions(tokenized_texts, groups, "ptb" if jar else "plain")


def ptb_tokenize(texts: Sequence[str], jar: Path) -> list[tuple[str, ...]]:
    """Tokenize texts with the PTB tokenizer of Stanford CoreNLP, without punctuation."""
    arguments = ["-cp", str(jar), "edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase"]
    lines = "".join(" ".join(text.split()) + "\n" for text in texts)
    outputs = run_java(arguments, "the PTB tokenizer", stdin=lines.encode()).decode().split("\n")[: len(texts)]
    return [tuple(token for token in line.split() if token not in PUNCTUATION) for line in outputs]


def run_java(arguments: Sequence[str], name: str, *, folder: Path | None = None, stdin: bytes = b"") -> bytes:
    """Run Java and return its output.

    Args:
        name: What is run, for the error.

    Raises:
        ConfigError: It fails.
    """
    done = subprocess.run(["java", *arguments], cwd=folder, input=stdin, capture_output=True)
    if done.returncode:
        lines = [line.strip() for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
        reason = next((line for line in lines if re.search("Error|Exception", line)), (lines or ["no message"])[-1])
        raise ConfigError(f"{name} stopped with status {done.returncode} ({reason}); expected it to work. Check Java.")
    return done.stdout


def plain_tokenize(text: str) -> tuple[str, ...]:
    """Split a text into lower-case words and contractions, without punctuation."""
    return tuple(token for token in _PLAIN_TOKEN.findall(text.lower()) if re.search(r"\w", token))
