"""Lexicon: nouns with articles and plurals, and the phrases of each attribute.

Answers use the first phrase of an attribute; users may use any of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.specs import BACKGROUNDS, EFFECT_SOURCES, INSTRUMENT_SOURCES, TINTS, WORD_SOURCES

PLACE_FORMS: dict[str, tuple[str, ...]] = {
    "top left": ("at the top left", "in the top left corner", "in the upper left"),
    "top": ("at the top", "on top", "in the upper part"),
    "top right": ("at the top right", "in the top right corner", "in the upper right"),
    "left": ("on the left", "on the left side", "at the left"),
    "center": ("in the center", "in the middle", "at the center"),
    "right": ("on the right", "on the right side", "at the right"),
    "bottom left": ("at the bottom left", "in the bottom left corner", "in the lower left"),
    "bottom": ("at the bottom", "at the very bottom", "in the lower part"),
    "bottom right": ("at the bottom right", "in the bottom right corner", "in the lower right"),
}
_SCENERY_FORMS: dict[str, tuple[str, ...]] = {
    "grass": ("on grass", "on the grass", "in the grass"),
    "sea": ("at sea", "at the sea", "on the sea"),
    "night": ("at night", "in the night", "under a night sky"),
    "sunset": ("at sunset", "in the sunset", "in front of a sunset"),
}
SIZE_FORMS = {"small": ("small", "little", "tiny"), "large": ("large", "big", "huge")}
TINT_FORMS = {tint: ((tint, "violet") if tint == "purple" else (tint,)) for tint in TINTS}
MOTION_FORMS: dict[str, tuple[str, ...]] = {
    "left": ("moving left", "going left", "moving to the left"),
    "right": ("moving right", "going right", "moving to the right"),
    "up": ("moving up", "going up", "moving upwards"),
    "down": ("moving down", "going down", "moving downwards"),
    "grow": ("growing", "getting bigger"),
    "shrink": ("shrinking", "getting smaller"),
    "spin": ("spinning", "turning around", "rotating"),
    "bounce": ("bouncing", "jumping up and down"),
    "appear": ("appearing", "fading in"),
    "disappear": ("disappearing", "fading out"),
}
PITCH_FORMS = {"low": ("low", "deep"), "middle": ("middle", "medium"), "high": ("high", "high-pitched")}
PATTERN_FORMS: dict[str, tuple[str, ...]] = {
    "single": ("once", "one time", "as a single sound"),
    "rising": ("rising", "going up", "getting higher"),
    "falling": ("falling", "going down", "getting lower"),
    "repeated": ("repeated", "three times", "again and again"),
    "chord": ("as a chord", "in a chord"),
}
SPEED_FORMS = {"slow": ("slowly", "at a slow speed"), "fast": ("fast", "quickly")}
CATEGORY_PHRASES = {
    "animal": "an animal",
    "food": "food",
    "vehicle": "a vehicle",
    "instrument": "an instrument",
    "thing": "a thing",
    "nature": "a part of nature",
    "shape": "a shape",
}
CERTAIN_CATEGORIES = ("animal", "food", "vehicle", "instrument", "shape")
"""Categories that are unambiguous; a tree, for example, may or may not be a thing."""
NUMBERS = ("no", "one", "two", "three")

_UNITS = {
    "bread": "loaf", "cheese": "piece", "corn": "ear", "broccoli": "piece", "candy": "piece", "grapes": "bunch",
    "cherries": "pair", "french fries": "box", "scissors": "pair", "glasses": "pair", "lightning": "bolt",
}  # fmt: skip
"""Units of nouns without a singular: a pair of scissors."""
PLURAL_NAMES = ("grapes", "cherries", "french fries", "scissors", "glasses")
_IRREGULAR_PLURALS = {
    "mouse": "mice",
    "fish": "fish",
    "maple leaf": "maple leaves",
    "snowman": "snowmen",
    "loaf": "loaves",
}
_UNIQUE_NAMES = {"sun": "the sun", "moon": "the moon"}
_SOURCE_PHRASES = {"applause": "applause", "seashore": "the seashore"} | {word: word for word in WORD_SOURCES}
_AMBIGUOUS = {*TINTS, *BACKGROUNDS, "white", "brown", "big", "little", "great", "king", "colors"}
"""Words that turn a synonym into a tint, a background or a size: a big cat is a large cat, not a lion."""
_CONSONANT_SOUND = re.compile(r"(uni|use|usu|eu|ewe|one\b|ufo\b|u-|UFO)")
_SILENT_H = re.compile(r"(hour|honest|heir)")
_NO_ARTICLE = {"spectacles", "eyeglasses", "fries", "chips", "shears", "cattle", "maize", "mail", "sunshine"}


def article(words: str) -> str:
    """Return ``a`` or ``an``, as ``words`` are pronounced."""
    has_vowel = words[0] in "aeiouAEIOU" and not _CONSONANT_SOUND.match(words)
    return "an" if has_vowel or _SILENT_H.match(words) else "a"


def indefinite(words: str) -> str:
    """Add the indefinite article if needed: ``"an owl"``, ``"a ufo"``, ``"fries"``."""
    if words in _NO_ARTICLE:
        return words
    return f"{article(words)} {words}"


def noun(name: str) -> str:
    """Return the countable noun of an object: ``"cat"``, ``"pair of scissors"``."""
    return f"{_UNITS[name]} of {name}" if name in _UNITS else name


def plural(name: str) -> str:
    """Return the plural of an object: ``"butterflies"``, ``"pairs of scissors"``."""
    if name in _UNITS:
        return f"{plural(_UNITS[name])} of {name}"
    if name in _IRREGULAR_PLURALS:
        return _IRREGULAR_PLURALS[name]
    if name.endswith("y") and name[-2] not in "aeou":
        return f"{name[:-1]}ies"
    return f"{name}es" if name.endswith(("s", "x", "ch", "sh")) else f"{name}s"


def all_of_kind(name: str) -> str:
    """Return the generic plural of a kind: ``"owls"``, ``"bread"``, ``"the sun"``."""
    return name if name in _UNITS else _UNIQUE_NAMES.get(name, plural(name))


def any_of_kind(name: str) -> str:
    """Return the generic singular of a kind: ``"an owl"``, ``"bread"``, ``"the sun"``."""
    return name if name in _UNITS else _UNIQUE_NAMES.get(name, indefinite(name))


def source_phrase(source: str) -> str:
    """Return a sound source with its article: ``"an organ"``, ``"applause"``, ``"the word hello"``."""
    return _SOURCE_PHRASES.get(source) or indefinite(source)


def definite_source(source: str) -> str:
    """Return a known sound source: ``"the organ"``, ``"the applause"``, ``"the word hello"``."""
    return source if source in WORD_SOURCES else f"the {source}"


def is_instrument(source: str) -> bool:
    """Return True if ``source`` plays notes."""
    assert source in INSTRUMENT_SOURCES + EFFECT_SOURCES + WORD_SOURCES, source
    return source in INSTRUMENT_SOURCES


def synonyms(name: str) -> tuple[str, ...]:
    """Return unambiguous synonyms of an object."""
    return tuple(words for words in OBJECTS[name].synonyms if not _AMBIGUOUS & set(words.split()))


def background_forms(background: str) -> tuple[str, ...]:
    """Return phrases for a background: ``"on a blue background"``, ``"at night"``."""
    plain = (f"on a {background} background", f"with a {background} background", f"on {background}")
    return _SCENERY_FORMS.get(background, plain)


def listed(phrases: Sequence[str]) -> str:
    """Join phrases: ``"a, b and c"``."""
    return " and ".join([", ".join(phrases[:-1]), phrases[-1]] if len(phrases) > 1 else phrases)


def object_names(name: str) -> tuple[str, ...]:
    """Return the words that count as naming an object in an answer."""
    return noun(name), plural(name), name


def yes_or_no(is_true: bool) -> str:
    """Return ``Yes`` or ``No``."""
    return "Yes" if is_true else "No"
