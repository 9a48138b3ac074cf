"""Language of a text: by its script, and among languages of the Latin script by its frequent short words.

It detects texts in a wrong language. Short and mixed texts always pass.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

import yaml

SCRIPTS: dict[str, str] = {
    "ar": r"[\u0600-\u06ff]", "el": r"[\u0370-\u03ff]", "he": r"[\u0590-\u05ff]", "hi": r"[\u0900-\u097f]",
    "ja": r"[\u3040-\u30ff\u4e00-\u9fff]", "ko": r"[\uac00-\ud7af]", "ru": r"[\u0400-\u04ff]",
    "th": r"[\u0e00-\u0e7f]", "uk": r"[\u0400-\u04ff]", "zh": r"[\u4e00-\u9fff]",
}  # fmt: skip
"""Letters of languages with a script of their own."""
MIN_WORDS = 12
"""Shorter texts in the Latin script pass."""
MIN_LETTERS_SHARE = 0.5
"""Share of the letters that must be of the language's script."""


def is_in_language(text: str, code: str) -> bool:
    """Return False if the text is clearly in another language than ``code``."""
    letters = re.findall(r"[^\W\d_]", text)
    if not letters:
        return True
    if code in SCRIPTS:
        return len(re.findall(SCRIPTS[code], text)) >= MIN_LETTERS_SHARE * len(letters)
    if len(re.findall(r"[a-zA-Z\u00c0-\u024f\u1e00-\u1eff]", text)) < MIN_LETTERS_SHARE * len(letters):
        return False
    words = re.findall(r"[^\W\d_]+", text.lower())
    profiles = _profiles()
    if len(words) < MIN_WORDS or code not in profiles:
        return True
    counts = {language: sum(word in frequent for word in words) for language, frequent in profiles.items()}
    return counts[code] >= max(counts.values()) - 1


@cache
def _profiles() -> dict[str, frozenset[str]]:
    text = (resources.files("nextgpt.data.build") / "languages.yaml").read_text(encoding="utf-8")
    return {code: frozenset(map(str, entries)) for code, entries in yaml.safe_load(text).items()}
