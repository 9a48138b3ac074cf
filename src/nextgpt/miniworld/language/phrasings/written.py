"""Messages and dialogues that training authors wrote as a whole, with labels of a correct answer.

Templates have slots that fit anything, so no template is about its object, as ``"I survived three night shifts, where's
my applause?"`` or ``"draw a blue phone and let it ring"``. As there are few such messages, many are used with other
words (:mod:`.exchanges`).

Each sampler returns None if the item that it drew has media of the test split, or media that the small world lacks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

from nextgpt.miniworld.language.out_of_domain import KEY_WORDS, unknown_fact_answer
from nextgpt.miniworld.language.phrasings import out_of_domain as unknown_things
from nextgpt.miniworld.language.phrasings.author import DATA_DIR
from nextgpt.miniworld.language.phrasings.conversation import GENERAL, talk_turn
from nextgpt.miniworld.language.phrasings.exchanges import exchange_unknown, exchange_words
from nextgpt.miniworld.language.phrasings.follow_ups import introduction
from nextgpt.miniworld.language.phrasings.labels import (
    AudioLabel,
    ImageLabel,
    MediaLabel,
    VideoLabel,
    WrittenItems,
    WrittenTurn,
    object_labels,
    read_items,
)
from nextgpt.miniworld.language.phrasings.requests import place_objects
from nextgpt.miniworld.language.phrasings.state import PhrasedState
from nextgpt.miniworld.language.request_specs import DEFAULT_LAYOUTS
from nextgpt.miniworld.language.types import DialogueTurn
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.sample_specs import LAYOUTS
from nextgpt.miniworld.specs import MediaSpec, SceneSpec, patterns_of

WRITTEN_DIR = DATA_DIR / "train_items"
TASK = "written"
ANSWERED = "answered"
TYPED_RATE = 0.3
"""Probability of other capitals, punctuation and typing errors than the author's."""


@cache
def load_written() -> WrittenItems:
    """Read the items of all training authors. Raises :class:`~nextgpt.errors.ConfigError` as :func:`.read_items`."""
    items = read_items(WRITTEN_DIR, WrittenItems).values()
    return WrittenItems(
        single=tuple(turn for one in items for turn in one.single),
        dialogues=tuple(dialogue for one in items for dialogue in one.dialogues),
        given=tuple(turn for one in items for turn in one.given),
    )


def request(state: PhrasedState) -> DialogueTurn | None:
    """Sample a request for media."""
    return _answer(state, exchange_words(state, state.choice(_single("want"))))


def out_of_domain(state: PhrasedState) -> DialogueTurn | None:
    """Sample a request for something outside the small world, at times with a known thing in its place."""
    return _answer(state, exchange_unknown(state, state.choice(_single("decline"))))


def small_talk(state: PhrasedState) -> DialogueTurn | None:
    """Sample small talk."""
    return _answer(state, state.choice(_single("talk")))


def general(state: PhrasedState) -> DialogueTurn | None:
    """Sample a message that has nothing to do with media, and with no object, about which facts are known."""
    return _answer(state, state.choice(_general_without_objects()))


def answered(state: PhrasedState) -> DialogueTurn | None:
    """Sample a message with an answer in words: facts, small tasks, questions about the assistant."""
    return _answer(state, state.choice(_single("answer")))


def edit_given(state: PhrasedState) -> DialogueTurn | None:
    """Sample a change of a given medium."""
    return _answer(state, state.choice(_given("want")))


def question_given(state: PhrasedState) -> DialogueTurn | None:
    """Sample a question about a given medium."""
    return _answer(state, state.choice(_given("answer")))


def dialogue(state: PhrasedState) -> PhrasedState | None:
    """Sample a dialogue."""
    for item in state.choice(load_written().dialogues).turns:
        turn = _answer(state, item)
        if turn is None:
            return None
        state = state.with_turn(turn)
    return state


@cache
def _single(answer: str) -> tuple[WrittenTurn, ...]:
    return tuple(turn for turn in load_written().single if getattr(turn, answer))


@cache
def _given(answer: str) -> tuple[WrittenTurn, ...]:
    return tuple(turn for turn in load_written().given if getattr(turn, answer))


@cache
def _general_without_objects() -> tuple[WrittenTurn, ...]:
    names = re.compile(rf"\b({'|'.join(map(re.escape, OBJECTS))})", re.I)
    return tuple(turn for turn in _single("general") if not names.search(turn.text))


def _answer(state: PhrasedState, item: WrittenTurn) -> DialogueTurn | None:
    """Return the turn of an item, or None; see the module."""
    words = state.typed(item.text) if state.bernoulli(TYPED_RATE) else item.text
    if item.talk:
        return talk_turn(state, item.talk, words)
    if item.general:
        return state.text_turn(GENERAL, words, unknown_fact_answer())
    if item.decline:
        return state.text_turn(unknown_things.TASK, words, unknown_things.decline(*item.decline), KEY_WORDS)
    given = item.given[0].complete() if item.given else None
    if given and not state.in_split(given):
        return None
    if item.answer:
        return state.text_turn(ANSWERED, words, item.answer, given=given)
    last = given or (state.media[-1].spec if state.media else None)
    specs = [spec for label in item.want if (spec := _complete(label, last)) and state.in_split(spec)]
    if len(specs) < len(item.want):
        return None
    state.own_colors.update(_stated_own_colors(item))
    before = last if len(specs) == 1 else None
    return state.media_turn(
        TASK,
        words,
        *specs,
        given=given,
        edited=before if type(specs[0]) is type(before) else None,
        intro=introduction(before, specs[0]) if before else "",
    )


def _complete(label: MediaLabel, last: MediaSpec | None) -> MediaSpec | None:
    """Return the spec of a label, with defaults for what it leaves out; None if the small world has no such medium.

    What remains in an image when others are removed from ``last`` stays as :func:`.edits.edit_remove` keeps it.
    """
    if isinstance(label, AudioLabel):
        sound = label.complete()
        return sound if sound.pattern in patterns_of(sound.source) else None
    if isinstance(label, VideoLabel):
        return label.complete()
    scene = label.complete_in_label_order()
    if isinstance(last, SceneSpec) and len(scene.objects) < len(last.objects):
        scene = _with_remaining(scene, label, last)
    places = {obj.place for obj in scene.objects}
    has_layout = any(places == set(layout) for layout in LAYOUTS.get(len(scene.objects), ()))
    return scene if len(scene.objects) == 1 or has_layout else None


def _with_remaining(scene: SceneSpec, label: ImageLabel, last: SceneSpec) -> SceneSpec:
    if len(scene.objects) > 1:
        return replace(scene, objects=place_objects(scene.objects, DEFAULT_LAYOUTS[len(scene.objects)]))
    (obj,), (stated,) = scene.objects, label.objects
    old = next((other for other in last.objects if other.object == obj.object), None)
    if old is None:
        return scene
    remaining = replace(obj, place=stated.place or old.place, size=stated.size or old.size)
    return replace(scene, objects=(remaining,))


def _stated_own_colors(item: WrittenTurn) -> Iterator[str]:
    """Yield the objects whose natural color the message states; labels of what stays as given state it anyway."""
    given = {(label.object, label.tint) for label in object_labels(item.given)}
    for label in object_labels(item.want):
        is_own = bool(label.object and label.tint) and OBJECTS[label.object].color == label.tint
        if is_own and (label.object, label.tint) not in given:
            yield label.object
