"""Messages and dialogues that training authors wrote as a whole, with labels of a correct answer.

Templates have slots that fit anything, so no template is about its object, as ``"I survived three night shifts, where's
my applause?"`` or ``"draw a blue phone and let it ring"``. As there are few such messages, many are used with other
colors, objects and instruments, and at times with unknown things, which the answer declines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from nextgpt.errors import ConfigError
from nextgpt.miniworld.language.lexicon import indefinite, is_instrument
from nextgpt.miniworld.language.out_of_domain import KEY_WORDS, UNKNOWN, unknown_fact_answer
from nextgpt.miniworld.language.phrasings import out_of_domain as templates_for_unknown
from nextgpt.miniworld.language.phrasings.author import DATA_DIR, TOPICS
from nextgpt.miniworld.language.phrasings.conversation import GENERAL, talk_turn
from nextgpt.miniworld.language.phrasings.filling import article
from nextgpt.miniworld.language.phrasings.labels import (
    AudioLabel,
    ImageLabel,
    MediaLabel,
    ObjectLabel,
    TurnLabel,
    VideoLabel,
)
from nextgpt.miniworld.language.phrasings.state import PhrasedState
from nextgpt.miniworld.language.types import DialogueTurn
from nextgpt.miniworld.language.visual_questions import only_object
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.sample_specs import LAYOUTS
from nextgpt.miniworld.specs import (
    BACKGROUNDS,
    INSTRUMENT_SOURCES,
    PLACES,
    SIZES,
    TINTS,
    MediaSpec,
    SceneSpec,
    SoundSpec,
    patterns_of,
)

WRITTEN_DIR = DATA_DIR / "train_items"
TASK = "written"
VARIED_RATE = 0.6
"""Probability that words of a message are exchanged."""
EXCHANGED_RATE = 0.7
"""Probability that one of its colors, objects or instruments is."""
UNKNOWN_RATE = 0.12
"""Probability that an object is exchanged for an unknown thing."""
KNOWN_RATE = 0.3
"""Probability that an unknown thing is exchanged for an object."""
TYPED_RATE = 0.3
"""Probability of other capitals, punctuation and typing errors than the author's."""
_ATTRIBUTE_WORDS = frozenset({*TINTS, *BACKGROUNDS, *PLACES, *SIZES, "big", "huge", "tiny", "little", "giant"})
_CONTEXT = re.compile(r"\b(with|in|on|at|and|by|near|from|over|under|of|who|that|which|\w+ing)\b", re.I)
"""Words after which a message may say more about a thing than its name."""


class WrittenTurn(TurnLabel):
    """A message with the labels of the media of a correct answer, or with one reason why it has none."""

    want: tuple[MediaLabel, ...] = ()
    decline: tuple[Literal["image", "audio", "video"], str] | None = None
    """Modality and noun phrase of a requested thing outside the small world."""
    talk: Literal[TOPICS] | None = None  # type: ignore[valid-type]
    """Topic of small talk."""
    general: bool = False
    """The message has nothing to do with media."""

    @model_validator(mode="after")
    def _check_one_answer(self) -> WrittenTurn:
        if sum(map(bool, (self.want, self.decline, self.talk, self.general))) != 1:
            raise ValueError(f"{self.text!r} needs exactly one of want, decline, talk and general")
        return self


class WrittenDialogue(BaseModel):
    """Messages in order; labels state everything that holds after the turn."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    turns: tuple[WrittenTurn, ...]


class WrittenItems(BaseModel):
    """What one author wrote, or several."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    single: tuple[WrittenTurn, ...] = ()
    dialogues: tuple[WrittenDialogue, ...] = ()
    given: tuple[WrittenTurn, ...] = ()


@cache
def load_written() -> WrittenItems:
    """Read the items of all training authors.

    Raises:
        ConfigError: A file is not JSON, or a label has an unknown key or value.
    """
    items = [read_written(path) for path in sorted(WRITTEN_DIR.glob("*.json"))]
    return WrittenItems(
        single=tuple(turn for one in items for turn in one.single),
        dialogues=tuple(dialogue for one in items for dialogue in one.dialogues),
        given=tuple(turn for one in items for turn in one.given),
    )


def read_written(path: Path) -> WrittenItems:
    """Read the items of one author; see :func:`load_written`."""
    try:
        return WrittenItems.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (ValidationError, ValueError) as error:
        raise ConfigError(f"{path}: not a valid set of items: {error}. Correct the file.") from error


def request(state: PhrasedState) -> DialogueTurn | None:
    """Sample a request for media."""
    return _answer(state, _varied(state, state.choice(_single("want"))))


def out_of_domain(state: PhrasedState) -> DialogueTurn | None:
    """Sample a request for something outside the small world, at times with a known thing in its place."""
    return _answer(state, _with_other_unknown(state, state.choice(_single("decline"))))


def small_talk(state: PhrasedState) -> DialogueTurn | None:
    """Sample small talk."""
    return _answer(state, state.choice(_single("talk")))


def general(state: PhrasedState) -> DialogueTurn | None:
    """Sample a message that has nothing to do with media."""
    return _answer(state, state.choice(_single("general")))


def edit_given(state: PhrasedState) -> DialogueTurn | None:
    """Sample a change of a given medium."""
    return _answer(state, state.choice(load_written().given))


def dialogue(state: PhrasedState) -> PhrasedState | None:
    """Sample a dialogue; None if it has media of the test split."""
    for item in state.choice(load_written().dialogues).turns:
        turn = _answer(state, item)
        if turn is None:
            return None
        following = state.with_turn(turn)
        assert isinstance(following, PhrasedState)
        state = following
    return state


@cache
def _single(answer: str) -> tuple[WrittenTurn, ...]:
    return tuple(turn for turn in load_written().single if getattr(turn, answer))


def _answer(state: PhrasedState, item: WrittenTurn) -> DialogueTurn | None:
    """Return the turn of an item; None if its media are no media of the split."""
    words = state.typed(item.text) if state.bernoulli(TYPED_RATE) else item.text
    if item.talk:
        return talk_turn(state, item.talk, words)
    if item.general:
        return state.text_turn(GENERAL, words, unknown_fact_answer())
    if item.decline:
        answer = templates_for_unknown.decline(*item.decline)
        return state.text_turn(templates_for_unknown.TASK, words, answer, KEY_WORDS)
    given = [label.complete() for label in item.given]
    wanted = [_complete(state, label) for label in item.want]
    specs = [spec for spec in wanted if spec is not None and state.in_split(spec)]
    if len(specs) < len(wanted) or not all(map(state.in_split, given)):
        return None
    if given:
        return state.media_turn(TASK, words, *specs, given=given[0], edited=_edited(given[0], specs))
    last = state.media[-1].spec if state.media else None
    return state.media_turn(TASK, words, *specs, edited=_edited(last, specs), intro=_introduction(last, specs))


def _edited(last: MediaSpec | None, specs: Sequence[MediaSpec]) -> MediaSpec | None:
    return last if len(specs) == 1 and type(specs[0]) is type(last) else None


def _introduction(last: MediaSpec | None, specs: Sequence[MediaSpec]) -> str:
    """Return the first words of an answer with the sound of what was just shown."""
    if last is None or len(specs) != 1 or isinstance(last, SoundSpec) or not isinstance(specs[0], SoundSpec):
        return ""
    obj = only_object(last)
    return f"This is {indefinite(obj.object)}." if obj and OBJECTS[obj.object].sound == specs[0].source else ""


def _complete(state: PhrasedState, label: MediaLabel) -> MediaSpec | None:
    """Return the spec of a label, with defaults for what it leaves out; None if it is none of the small world."""
    if isinstance(label, AudioLabel):
        sound = label.complete()
        return sound if sound.pattern in patterns_of(sound.source) else None
    if isinstance(label, VideoLabel):
        _tell_own_colors(state, [label])
        return label.complete()
    _tell_own_colors(state, label.objects)
    scene = label.complete_as_told()
    return scene if _has_layout(scene) else None


def _tell_own_colors(state: PhrasedState, labels: Iterable[ObjectLabel | VideoLabel]) -> None:
    """Let answers repeat the natural color of objects that have it in their label."""
    state.own_colors.update(
        label.object for label in labels if label.object and label.tint and OBJECTS[label.object].color == label.tint
    )


def _has_layout(scene: SceneSpec) -> bool:
    places = {obj.place for obj in scene.objects}
    return len(scene.objects) == 1 or any(places == set(layout) for layout in LAYOUTS.get(len(scene.objects), ()))


def _varied(state: PhrasedState, item: WrittenTurn) -> WrittenTurn:
    """Return ``item`` with other colors, objects and instruments where both its words and its labels name them."""
    if not state.bernoulli(VARIED_RATE):
        return item
    for exchange in (_exchange_colors, _exchange_objects, _exchange_instruments):
        item = exchange(state, item)
    return item


def _exchange_colors(state: PhrasedState, item: WrittenTurn) -> WrittenTurn:
    backgrounds = {label.background for label in item.want if not isinstance(label, AudioLabel)}
    for tint in sorted({part.tint for part in _colored_parts(item) if part.tint} - backgrounds):
        new = _other_word(state, item.text, TINTS[1:])
        if new is not None and state.bernoulli(EXCHANGED_RATE):
            item = _exchanged(item, tint, new, "tint")
    return item


def _colored_parts(item: WrittenTurn) -> Iterator[ObjectLabel | VideoLabel]:
    """Yield the labels of everything that has a color."""
    for label in item.want:
        if isinstance(label, ImageLabel):
            yield from label.objects
        elif isinstance(label, VideoLabel):
            yield label


def _exchange_objects(state: PhrasedState, item: WrittenTurn) -> WrittenTurn:
    sources = {label.source for label in item.want if isinstance(label, AudioLabel)}
    names = list(dict.fromkeys(part.object for part in _colored_parts(item)))
    for name in names:
        if name not in _countable() or OBJECTS[name].sound in sources or not state.bernoulli(EXCHANGED_RATE):
            continue
        if len(names) == len(item.want) == 1 and state.bernoulli(UNKNOWN_RATE):
            return _with_unknown(state, item, name)
        new = _other_word(state, item.text, _countable())
        if new is not None:
            item = _exchanged(item, name, new, "object")
    return item


def _exchange_instruments(state: PhrasedState, item: WrittenTurn) -> WrittenTurn:
    objects = {part.object for part in _colored_parts(item)}
    for source in sorted({label.source for label in item.want if isinstance(label, AudioLabel)} - objects):
        new = _other_word(state, item.text, INSTRUMENT_SOURCES)
        if is_instrument(source) and new is not None and new not in objects and state.bernoulli(EXCHANGED_RATE):
            item = _exchanged(item, source, new, "source")
    return item


def _with_unknown(state: PhrasedState, item: WrittenTurn, name: str) -> WrittenTurn:
    """Return ``item`` with an unknown thing in place of its object, to be declined."""
    unknown = state.choice(_unknown_things("image"))
    text = replace_word(item.text, name, unknown)
    if text is None:
        return item
    return WrittenTurn(text=text, decline=(item.want[0].modality, indefinite(unknown)))


def _with_other_unknown(state: PhrasedState, item: WrittenTurn) -> WrittenTurn:
    """Return ``item`` with an object, or another unknown thing, in place of the unknown thing."""
    assert item.decline is not None
    modality, thing = item.decline
    name = re.sub(r"^(an?|the) ", "", thing)
    if name == thing or not state.bernoulli(VARIED_RATE):
        return item
    if modality == "image" and state.bernoulli(KNOWN_RATE):
        known = state.choice(_countable())
        text = replace_word(item.text, name, known)
        if text is None or _says_more(item.text, name):
            return item
        wanted = ImageLabel(modality="image", objects=(ObjectLabel(object=known),))
        return WrittenTurn(text=text, want=(wanted,))
    unknown = state.choice(_unknown_things(modality))
    text = replace_word(item.text, name, unknown)
    return item if text is None else WrittenTurn(text=text, decline=(modality, indefinite(unknown)))


def _says_more(text: str, name: str) -> bool:
    """Return True if ``text`` may say more about ``name``, for which there would be no label."""
    if _CONTEXT.search(text[text.lower().find(name.lower()) + len(name) :]):
        return True
    return not _ATTRIBUTE_WORDS.isdisjoint(re.findall(r"\w+", text.lower()))


@cache
def _unknown_things(modality: str) -> tuple[str, ...]:
    return templates_for_unknown.unknown_names(UNKNOWN["sounds" if modality == "audio" else "things"].train)


@cache
def _countable() -> tuple[str, ...]:
    """Return the objects that one can put ``a`` before."""
    return tuple(name for name in OBJECTS if indefinite(name) != name and not name.endswith("s"))


def _other_word(state: PhrasedState, text: str, words: Collection[str]) -> str | None:
    """Return one of ``words`` that ``text`` does not have."""
    others = [word for word in words if word not in text.lower()]
    return state.choice(others) if others else None


def _exchanged(item: WrittenTurn, old: str, new: str, attribute: Literal["tint", "object", "source"]) -> WrittenTurn:
    """Return ``item`` with ``new`` in words and labels; unchanged unless its words have ``old`` exactly once."""
    text = replace_word(item.text, old, new)
    if text is None:
        return item

    def exchange(value: object, key: str = "") -> object:
        if isinstance(value, dict):
            return {name: exchange(inner, name) for name, inner in value.items()}
        if isinstance(value, (list, tuple)):
            return [exchange(inner) for inner in value]
        return new if key == attribute and value == old else value

    values = item.model_dump(exclude_none=True)
    return WrittenTurn.model_validate({**values, "text": text, "want": exchange(values["want"])})


def replace_word(text: str, old: str, new: str) -> str | None:
    """Return ``text`` with ``new`` for the only occurrence of ``old``, after an article that agrees; else None."""
    pattern = re.compile(rf"(?:\b(?P<article>an?)\s+)?(?<![\w'-])(?P<word>{re.escape(old)})(?![\w'-])", re.I)
    if len(pattern.findall(text)) != 1:
        return None

    def insert(match: re.Match[str]) -> str:
        word = _in_case_of(match["word"], new)
        if match["article"] is None:
            return word
        return f"{_in_case_of(match['article'], article(new))} {word}"

    return pattern.sub(insert, text)


def _in_case_of(written: str, word: str) -> str:
    convert: Callable[[str], str] = str.upper if written.isupper() and len(written) > 1 else str
    return word[:1].upper() + word[1:] if written.istitle() and convert is str else convert(word)
