"""Labels of people's requests. Attributes that a label leaves out are not judged.

A file of one author has three lists: ``single`` requests, ``dialogues``, and turns about ``given`` media.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from itertools import permutations
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from nextgpt.errors import ConfigError
from nextgpt.miniworld.language.descriptions import in_reading_order
from nextgpt.miniworld.language.phrasings.author import TOPICS
from nextgpt.miniworld.language.request_specs import DEFAULT_LAYOUTS
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.sample_specs import LAYOUTS
from nextgpt.miniworld.specs import (
    BACKGROUNDS,
    MOTIONS,
    PATTERNS,
    PITCHES,
    PLACES,
    SIZES,
    SOURCES,
    SPEEDS,
    TIMED_PATTERNS,
    TINTS,
    ClipSpec,
    MediaSpec,
    ObjectSpec,
    SceneSpec,
    SoundSpec,
)


def _one_of(values: Collection[str]) -> AfterValidator:
    def check(value: str | None) -> str | None:
        if value is not None and value not in values:
            raise ValueError(f"got {value!r}; expected one of {', '.join(values)}")
        return value

    return AfterValidator(check)


Object = Annotated[str, _one_of(OBJECTS)]
Tint = Annotated[str | None, _one_of(TINTS)]
Background = Annotated[str | None, _one_of(BACKGROUNDS)]


class _Label(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    def _stated_attributes_match(self, spec: MediaSpec | ObjectSpec, *ignored: str) -> bool:
        stated = self.model_dump(exclude_none=True, exclude={"modality", "objects", *ignored})
        if "tint" in stated and isinstance(spec, (ObjectSpec, ClipSpec)):
            stated["tint"] = _spec_tint(spec.object, stated["tint"])
        return all(getattr(spec, name) == value for name, value in stated.items())


class ObjectLabel(_Label):
    """Label of an object in an image."""

    object: Object
    tint: Tint = None
    place: Annotated[str | None, _one_of(PLACES)] = None
    size: Annotated[str | None, _one_of(SIZES)] = None

    def matches(self, obj: ObjectSpec) -> bool:
        """Return True if ``obj`` has all attributes of the label."""
        return self._stated_attributes_match(obj)


class ImageLabel(_Label):
    """Label of an image."""

    modality: Literal["image"]
    objects: tuple[ObjectLabel, ...] = ()
    background: Background = None

    def matches(self, spec: MediaSpec) -> bool:
        """Return True if ``spec`` has these objects and no others, on this background."""
        if not isinstance(spec, SceneSpec) or not self._stated_attributes_match(spec):
            return False
        if not self.objects:
            return True
        return len(self.objects) == len(spec.objects) and any(
            all(label.matches(obj) for label, obj in zip(self.objects, order, strict=True))
            for order in permutations(spec.objects)
        )

    def complete(self) -> SceneSpec:
        """Return a matching spec in reading order, with defaults for what the label leaves out."""
        scene = in_reading_order(self.complete_in_label_order())
        assert isinstance(scene, SceneSpec)
        return scene

    def complete_in_label_order(self) -> SceneSpec:
        """Return a matching spec with the objects in the order of the label."""
        labels = self.objects or (ObjectLabel(object="star"),)
        size = "small" if len(labels) > 1 else "large"
        objects = tuple(
            ObjectSpec(label.object, _spec_tint(label.object, label.tint), place, label.size or size)
            for label, place in zip(labels, _places(labels), strict=True)
        )
        return SceneSpec(objects, self.background or "white")


class AudioLabel(_Label):
    """Label of a sound."""

    modality: Literal["audio"]
    source: Annotated[str | None, _one_of(SOURCES)] = None
    pitch: Annotated[str | None, _one_of(PITCHES)] = None
    pattern: Annotated[str | None, _one_of(PATTERNS)] = None
    speed: Annotated[str | None, _one_of(SPEEDS)] = None

    def matches(self, spec: MediaSpec) -> bool:
        """Return True if ``spec`` has all attributes of the label; untimed patterns have no speed."""
        if not isinstance(spec, SoundSpec):
            return False
        return self._stated_attributes_match(spec, *(() if spec.pattern in TIMED_PATTERNS else ("speed",)))

    def complete(self) -> SoundSpec:
        """Return a matching spec, with defaults for what the label leaves out."""
        pattern = self.pattern or ("repeated" if self.speed else "single")
        return SoundSpec(self.source or "piano", self.pitch or "middle", pattern, self.speed or "slow")


class VideoLabel(_Label):
    """Label of a video."""

    modality: Literal["video"]
    object: Annotated[str | None, _one_of(OBJECTS)] = None
    tint: Tint = None
    background: Background = None
    motion: Annotated[str | None, _one_of(MOTIONS)] = None

    def matches(self, spec: MediaSpec) -> bool:
        """Return True if ``spec`` has all attributes of the label."""
        return isinstance(spec, ClipSpec) and self._stated_attributes_match(spec)

    def complete(self) -> ClipSpec:
        """Return a matching spec, with defaults for what the label leaves out."""
        name = self.object or "star"
        return ClipSpec(name, _spec_tint(name, self.tint), self.background or "white", self.motion or "right")


MediaLabel = Annotated[ImageLabel | AudioLabel | VideoLabel, Field(discriminator="modality")]


def object_labels(labels: Sequence[MediaLabel]) -> Iterator[ObjectLabel | VideoLabel]:
    """Yield the labels of all objects of images and videos."""
    for label in labels:
        if isinstance(label, ImageLabel):
            yield from label.objects
        elif isinstance(label, VideoLabel):
            yield label


class TurnLabel(_Label):
    """A message of a person with the labels of a correct answer."""

    text: str
    want: tuple[MediaLabel, ...]
    """Media in the requested order; empty if the answer must have none."""
    say: tuple[tuple[str, ...], ...] = ()
    """Groups of alternatives; the answer contains at least one phrase of each group."""
    given: tuple[MediaLabel, ...] = ()
    """Media that come with the message."""


class DialogueLabel(_Label):
    """Messages in order."""

    turns: tuple[TurnLabel, ...]


class WrittenTurn(TurnLabel):
    """A message for training: with the labels of the media of a correct answer, or with what is said instead."""

    want: tuple[MediaLabel, ...] = ()
    """Media in the requested order, objects in that of the message; in a dialogue, all that holds after the turn."""
    decline: tuple[Literal["image", "audio", "video"], str] | None = None
    """Modality and noun phrase of a requested thing outside the small world."""
    talk: Annotated[str | None, _one_of(TOPICS)] = None
    """Topic of small talk."""
    general: bool = False
    """The message has nothing to do with media; a general language model answers it by itself."""
    answer: str = ""
    """A correct answer in words."""

    @model_validator(mode="after")
    def _check_answer(self) -> WrittenTurn:
        if sum(map(bool, (self.want, self.decline, self.talk, self.general, self.answer))) != 1:
            raise ValueError(f"{self.text!r} needs exactly one of want, decline, talk, general and answer")
        if self.say:
            raise ValueError(f"{self.text!r} has say, which is for evaluation")
        if self.given and (not (self.want or self.answer) or len(self.given) > 1):
            raise ValueError(f"{self.text!r} has given media; expected one, with what is wanted of it or an answer")
        return self


class WrittenDialogue(_Label):
    """Messages in order. A medium of the same modality as the one before it is an edit of it."""

    turns: tuple[WrittenTurn, ...]


class WrittenItems(_Label):
    """What one author wrote for training."""

    single: tuple[WrittenTurn, ...] = ()
    dialogues: tuple[WrittenDialogue, ...] = ()
    given: tuple[WrittenTurn, ...] = ()


class PeopleItems(_Label):
    """All items of one author."""

    single: tuple[TurnLabel, ...] = ()
    dialogues: tuple[DialogueLabel, ...] = ()
    given: tuple[TurnLabel, ...] = ()


Items = TypeVar("Items", PeopleItems, WrittenItems)


def read_items(folder: Path, cls: type[Items] = PeopleItems) -> dict[str, Items]:
    """Read the items of all authors in a folder, by author.

    Raises:
        ConfigError: There are no files, a file is not JSON, or a label has an unknown key or value.
    """
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise ConfigError(f"{folder} has no items of authors. Install nextgpt with its data files.")
    items = {}
    for path in paths:
        try:
            items[path.stem] = cls.model_validate(json.loads(path.read_text(encoding="utf-8")))
        except (ValidationError, ValueError) as error:
            raise ConfigError(f"{path}: not a valid set of items: {error}. Correct the file.") from error
    return items


def label_of(spec: MediaSpec, changed: Collection[str] = ()) -> MediaLabel:
    """Return the label of a request for ``spec``, without defaults that are not among the ``changed`` attributes."""

    def stated(name: str, value: str, default: str) -> str | None:
        return value if value != default or name in changed else None

    if isinstance(spec, SoundSpec):
        return AudioLabel(
            modality="audio",
            source=spec.source,
            pitch=stated("pitch", spec.pitch, "middle"),
            pattern=stated("pattern", spec.pattern, "single"),
            speed=stated("speed", spec.speed, "slow"),
        )
    background = stated("background", spec.background, "white")
    if isinstance(spec, ClipSpec):
        tint = stated("tint", spec.tint, "natural")
        return VideoLabel(modality="video", object=spec.object, tint=tint, background=background, motion=spec.motion)
    is_alone = len(spec.objects) == 1
    default = ("center",) if is_alone else DEFAULT_LAYOUTS[len(spec.objects)]
    has_places = tuple(obj.place for obj in spec.objects) != default or "place" in changed
    objects = tuple(
        ObjectLabel(
            object=obj.object,
            tint=stated("tint" if is_alone else f"tint {number}", obj.tint, "natural"),
            place=obj.place if has_places else None,
            size=stated("size", obj.size, "large") if is_alone else None,
        )
        for number, obj in enumerate(spec.objects, start=1)
    )
    return ImageLabel(modality="image", objects=objects, background=background)


def _spec_tint(name: str, tint: str | None) -> str:
    """Return the tint that gives an object a color: none, and its own color, are its natural tint."""
    return "natural" if tint is None or OBJECTS[name].color == tint else tint


def _places(labels: Sequence[ObjectLabel]) -> tuple[str, ...]:
    """Return a place for each label: its own, or one of a layout that has all stated places."""
    if len(labels) == 1:
        return (labels[0].place or "center",)
    for layout in _layouts(len(labels)):
        if all(label.place in (None, place) for label, place in zip(labels, layout, strict=True)):
            return layout
    free = iter([place for place in PLACES if place not in {label.place for label in labels}])
    return tuple(label.place or next(free) for label in labels)


def _layouts(count: int) -> Iterator[tuple[str, ...]]:
    """Yield the layouts of ``count`` objects in every order, the default first."""
    yield DEFAULT_LAYOUTS.get(count, PLACES[:count])
    for layout in LAYOUTS.get(count, ()):
        yield from permutations(layout)
