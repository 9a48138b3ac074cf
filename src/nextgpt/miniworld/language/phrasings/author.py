"""Authors: the templates and everyday words of one person each, read from JSON files.

:data:`INTENTS` names the intents and the slots that their templates may use.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from nextgpt.config import parse_config
from nextgpt.errors import ConfigError, unknown_name_message
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.specs import BACKGROUNDS, TINTS

AuthorSplit = Literal["train", "dev"]
AUTHOR_SPLITS: tuple[AuthorSplit, ...] = ("train", "dev")
DATA_DIR = Path(__file__).parents[2] / "assets" / "phrasings"

INTENTS: dict[str, tuple[str, ...]] = {
    "image": ("what",), "audio": ("what",), "speech": ("word",),
    "video_ing": ("what",), "video_inf": ("thing", "inf", "s"), "video_the": ("thing", "ing"),
    "both": ("thing",), "both_video": ("thing",), "video_sound": ("thing",),
    "several_np": ("a", "b"), "several": ("a", "b"), "triple": ("a", "b", "c"),
    "edit_color": ("color", "noun"), "edit_size_up": ("noun",), "edit_size_down": ("noun",),
    "edit_place": ("place", "noun"), "edit_background": ("background", "bg", "noun"),
    "edit_replace": ("thing", "noun"), "edit_add": ("thing", "noun"), "edit_remove": ("noun",),
    "edit_natural": ("noun",), "edit_move_named": ("noun", "place"), "edit_color_named": ("noun", "color"),
    "edit_swap_places": (),
    "edit_motion_inf": ("inf", "noun"), "edit_motion_ing": ("ing", "noun"), "edit_reverse": ("noun",),
    "edit_higher": (), "edit_lower": (), "edit_faster": (), "edit_slower": (),
    "edit_source": ("source",), "edit_how": ("how",),
    "again": (), "animate": ("inf", "noun"), "animate_any": ("noun",), "hear_it": ("noun",), "see_it": (),
    "undo": (), "correct_color": ("color", "noun"), "correct_thing": ("thing", "noun"),
    "q_what": (), "q_describe": (), "q_color": ("noun",), "q_color_named": ("noun",), "q_count": (),
    "q_count_named": ("plural",), "q_where": ("noun",), "q_where_it": ("noun",), "q_background": ("noun",),
    "q_size": ("noun",),
    "q_is_there": ("thing",), "q_is_color": ("color", "noun"), "q_left_right": ("side",), "q_compare_color": (),
    "q_sound_what": (), "q_sound_pitch": (), "q_sound_how": (), "q_sound_is": ("source",),
    "q_video_what": (), "q_video_motion": ("noun",), "q_video_direction": ("noun",), "q_video_color": ("noun",),
    "q_first_request": (), "q_last_request": (),
    "unknown_image": ("x",), "unknown_audio": ("x",), "unknown_video": ("x",),
    "general": (), "not_but_color": ("color", "other", "noun"), "without": ("thing", "noun"),
    "edit_replace_named": ("noun", "thing"), "edit_add_at": ("thing", "place"),
    "message_image": (
        "thing", "noun", "color", "size", "place", "background", "bg", "thing2", "noun2", "color2", "place2",
    ),
    "message_audio": ("source", "pitch", "pattern", "speed"),
    "message_video": ("thing", "noun", "color", "background", "bg", "ing", "inf", "s"),
    "message_several": ("image", "audio", "video", "image2", "audio2", "video2"),
}  # fmt: skip
"""Every intent with the slots that its templates may use."""
KNOWN_INTENTS = {"image": "image", "audio": "audio", "video": "video_ing"}
"""Intents of requests for known things by modality."""
UNKNOWN_INTENTS = {modality: f"unknown_{modality}" for modality in KNOWN_INTENTS}
"""The same for unknown things."""
OPTIONAL_SLOTS = frozenset({"noun", "background", "bg", "inf", "s"})
"""Slots that a template of an intent need not use."""
NAMED_INTENTS = frozenset({
    "edit_remove", "edit_move_named", "edit_color_named", "edit_replace_named", "q_color_named", "q_where", "without",
})  # fmt: skip
"""Intents whose templates must name the object."""
MESSAGE_SLOTS: dict[str, tuple[frozenset[str], ...]] = {
    "message_image": (frozenset({"thing", "noun"}),),
    "message_audio": (frozenset({"source"}),),
    "message_video": (frozenset({"thing", "noun"}), frozenset({"ing", "inf", "s"})),
    "message_several": (),
}
"""Intents of whole messages: a template uses any of their slots, but at least one of each of these sets."""
TOPICS = (
    "greet", "bye", "thanks", "praise", "complain", "how_are_you", "who_are_you", "what_can_you",
    "are_you_human", "bored",
)  # fmt: skip
"""Topics of small talk."""
SLOT = re.compile(r"\{(\w+)\}")
_ALTERNATIVES = re.compile(r"\[([^\[\]]*)\]")
_AMBIGUOUS = {
    *TINTS, *BACKGROUNDS, "white", "brown", "golden", "big", "little", "great", "huge", "tiny", "small", "large",
}  # fmt: skip
"""Words that state a color, a background or a size, so that no synonym of an object may contain them."""

Words = Mapping[str, tuple[str, ...]]


class Synonyms(BaseModel):
    """An author's everyday words for the values of each attribute; a missing value has none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    colors: Words = {}
    sizes: Words = {}
    places: Words = {}
    backgrounds: Words = {}
    plain_backgrounds: tuple[str, ...] = ()
    """Templates with the slot ``c`` for a color."""
    pitch: Words = {}
    pattern: Words = {}
    speed: Words = {}
    motion: Mapping[str, tuple[tuple[str, str, str], ...]] = {}
    """Participle, infinitive and third person."""
    nouns: Words = {}
    sources: Words = {}
    """Noun phrases."""


class Author(BaseModel):
    """The templates and words of one person."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    patterns: Words
    """Templates by intent."""
    talk: Words = {}
    """Small talk by topic."""
    before: tuple[str, ...] = ()
    """Lead-ins of a request."""
    after: tuple[str, ...] = ()
    """Endings of a request."""
    synonyms: Synonyms = Synonyms()

    def has(self, *intents: str) -> bool:
        """Return True if the author has templates for all of ``intents``."""
        return all(self.patterns.get(intent) for intent in intents)


@cache
def load_authors(split: AuthorSplit = "train") -> tuple[Author, ...]:
    """Load all authors of a split by name, without synonyms that have more than one meaning.

    A synonym is dropped if two objects or two sources share it. A synonym of an object is also dropped if it names
    another object, or contains a color, size or background.

    Raises:
        ConfigError: The split is unknown, or a file is invalid; see :func:`read_author`.
    """
    if split not in AUTHOR_SPLITS:
        raise ConfigError(unknown_name_message("split", split, AUTHOR_SPLITS))
    sources = _ambiguous_words("sources")
    authors = []
    for author in read_authors(split):
        unique = {
            "nouns": _unambiguous_nouns(author.synonyms.nouns),
            "sources": _filter_words(author.synonyms.sources, lambda word, _: word not in sources),
        }
        authors.append(author.model_copy(update={"synonyms": author.synonyms.model_copy(update=unique)}))
    return tuple(authors)


@cache
def everyday_nouns() -> Words:
    """Return everyday words for objects that belong to no author, without those that :func:`load_authors` drops."""
    return _unambiguous_nouns(shared_phrasings()["nouns"])


def _unambiguous_nouns(synonyms: Words) -> Words:
    ambiguous = _ambiguous_words("nouns")

    def is_usable(word: str, name: str) -> bool:
        return (
            word not in ambiguous
            and (word == name or word not in OBJECTS)
            and not _AMBIGUOUS & set(word.replace("-", " ").split())
        )

    return _filter_words(synonyms, is_usable)


@cache
def read_authors(split: AuthorSplit) -> tuple[Author, ...]:
    """Read all authors of a split, by name, with all of their synonyms."""
    return tuple(read_author(path) for path in sorted((DATA_DIR / split).glob("*.json")))


@cache
def _ambiguous_words(attribute: Literal["nouns", "sources"]) -> set[str]:
    """Return synonyms that stand for more than one value of ``attribute``, whoever uses them."""
    meanings: dict[str, set[str]] = defaultdict(set)
    all_synonyms = [getattr(author.synonyms, attribute) for split in AUTHOR_SPLITS for author in read_authors(split)]
    if attribute == "nouns":
        all_synonyms.append(shared_phrasings()["nouns"])
    for synonyms in all_synonyms:
        for value, words in synonyms.items():
            for word in words:
                meanings[word.lower()].add(value)
    return {word for word, values in meanings.items() if len(values) > 1}


def _filter_words(synonyms: Words, is_usable: Callable[[str, str], bool]) -> Words:
    return {value: tuple(word for word in words if is_usable(word.lower(), value)) for value, words in synonyms.items()}


@cache
def shared_phrasings() -> dict[str, Any]:
    """Return the templates and words that belong to no author: parts of long messages, verbs and rare requests."""
    return json.loads((DATA_DIR / "shared.json").read_text(encoding="utf-8"))


def read_author(path: Path) -> Author:
    """Read the file of one author, with all of their synonyms.

    Raises:
        ConfigError: The file is not JSON, has an unknown key or intent, or a template has slots that its intent
            lacks.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path}: not valid JSON: {error}. Correct the file.") from error
    return parse_author(values, path.stem, where=str(path))


def parse_author(values: Mapping[str, Any], name: str, *, where: str) -> Author:
    """Return the author that a file describes; ``where`` names the file in errors.

    Raises:
        ConfigError: See :func:`read_author`.
    """
    author = parse_config(Author, {"name": name, **values}, where=where)
    if problems := list(find_problems(author)):
        raise ConfigError(f"{where}: {problems[0]} Correct the file ({len(problems)} problem(s) in all).")
    return author


def find_problems(author: Author) -> Iterator[str]:
    """Yield one sentence per template that cannot be filled."""
    for intent, patterns in author.patterns.items():
        if intent not in INTENTS:
            yield f"{intent}: unknown intent; expected one of {', '.join(INTENTS)}."
            continue
        for pattern in patterns:
            for problem in _problems(pattern, intent):
                yield f"{intent}: {pattern!r} {problem}."
    for topic in author.talk:
        if topic not in TOPICS:
            yield f"talk: unknown topic {topic!r}; expected one of {', '.join(TOPICS)}."


def _problems(pattern: str, intent: str) -> Iterator[str]:
    allowed = INTENTS[intent]
    plain = _ALTERNATIVES.sub(lambda match: match[1].split("|")[0], pattern)
    if any(bracket in plain for bracket in "[]"):
        yield "has a bracket without its partner, or nested brackets"
    used = set(SLOT.findall(pattern))
    if extra := sorted(used - set(allowed)):
        yield f"uses the slot {extra[0]!r}; allowed: {', '.join(allowed) or 'none'}"
    if re.search(r"[{}]", SLOT.sub("", pattern)):
        yield "has a brace that belongs to no slot"
    if intent in MESSAGE_SLOTS:
        yield from _message_problems(intent, used)
    elif "bg" in allowed:
        if not used & {"background", "bg"}:
            yield "uses neither {background} nor {bg}"
    elif intent in NAMED_INTENTS and "noun" not in used:
        yield "lacks the slot 'noun'"
    elif missing := sorted(set(allowed) - OPTIONAL_SLOTS - used):
        yield f"lacks the slot {missing[0]!r}"
    elif {"inf", "s"} <= set(allowed) and not used & {"inf", "s"}:
        yield "uses neither {inf} nor {s}"


def _message_problems(intent: str, used: set[str]) -> Iterator[str]:
    for choices in MESSAGE_SLOTS[intent]:
        if not used & choices:
            yield f"uses none of the slots {', '.join(sorted(choices))}"
    if intent == "message_several" and len(used) < 2:
        yield "has fewer than two media"
    if intent == "message_image":
        has_second = bool(used & {"thing2", "noun2"})
        if not has_second and used & {"color2", "place2"}:
            yield "says how a second object is, but has neither {thing2} nor {noun2}"
        elif has_second and ("place" in used) != ("place2" in used):
            yield "has a place for one of two objects; give both places or none"
        elif has_second and "size" in used:
            yield "has {size} with two objects, which are always small"
