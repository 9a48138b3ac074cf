"""Images of two or three objects: a conversation of several such requests.

Other requests seldom have three objects, and an image of three is the hardest one to convey: its objects, colors and
places pass through the same few signal tokens as those of one object.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nextgpt.miniworld.language.lexicon import NUMBERS, indefinite, listed, noun
from nextgpt.miniworld.language.phrasings import noun_phrases as phrases
from nextgpt.miniworld.language.phrasings.filling import fill
from nextgpt.miniworld.language.phrasings.requests import place_objects, request_words
from nextgpt.miniworld.language.phrasings.state import PhrasedState
from nextgpt.miniworld.language.request_specs import DEFAULT_LAYOUTS, RequestSpec
from nextgpt.miniworld.language.types import DialogueTurn
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.sample_specs import LAYOUTS, sample_object
from nextgpt.miniworld.specs import BACKGROUNDS, ObjectSpec, SceneSpec

LENGTHS = (2, 3, 4)
THREE_SHARE = 0.65
"""Probability of three objects rather than two."""
ALIKE_RATE = 0.3
"""Probability of several objects of one kind, in colors of their own or the same."""
PLACES_RATE = 0.5
"""Probability that places are stated."""
NATURAL_RATE = 0.4
BACKGROUND_RATE = 0.35

_ALIKE_FORMS = (
    "{number} {many}, {ones}", "{number} {many}: {ones}", "{number} {many} ({colors})", "{number} {many} in {colors}",
    "{each}", "{each}", "{number} {many}, {colors}",
)  # fmt: skip


def several_objects(state: PhrasedState) -> PhrasedState | None:
    """Sample a conversation of requests for images of two or three objects."""
    for _ in range(state.choice(LENGTHS)):
        turn = _request(state)
        if turn is None:
            return None
        state = state.with_turn(turn)
    return state


def _request(state: PhrasedState) -> DialogueTurn | None:
    request = state.first_in_split(lambda: _sample(state), lambda sampled: sampled.spec)
    if request is None:
        return None
    return state.media_turn("text_to_image", request_words(state, "image", request.phrase), request.spec)


def _sample(state: PhrasedState) -> RequestSpec:
    count = 3 if state.bernoulli(THREE_SHARE) else 2
    has_places = state.bernoulli(PLACES_RATE)
    layout = state.rng.permutation(state.choice(LAYOUTS[count])).tolist() if has_places else DEFAULT_LAYOUTS[count]
    words, objects = (_alike if state.bernoulli(ALIKE_RATE) else _different)(state, layout, has_places)
    if not state.bernoulli(BACKGROUND_RATE):
        return RequestSpec(words, SceneSpec(objects))
    background = state.choice(BACKGROUNDS)
    where = phrases.background_phrase(state, background)
    return RequestSpec(f"{words}{', ' if has_places else ' '}{where}", SceneSpec(objects, background))


def _different(state: PhrasedState, layout: Sequence[str], has_places: bool) -> tuple[str, tuple[ObjectSpec, ...]]:
    objects = [sample_object(state.rng, size="small") for _ in layout]
    objects = [replace(obj, tint="natural") if state.bernoulli(NATURAL_RATE) else obj for obj in objects]
    placed = place_objects(objects, layout)
    things = [phrases.object_phrase(state, obj) for obj in placed]
    return listed(_with_places(state, things, placed, has_places)), placed


def _alike(state: PhrasedState, layout: Sequence[str], has_places: bool) -> tuple[str, tuple[ObjectSpec, ...]]:
    """Sample objects of one kind: in different colors, or some of one color and another one."""
    first = sample_object(state.rng, size="small")
    own = OBJECTS[first.object].color
    colors = [tint for tint in OBJECTS[first.object].tints if tint not in ("natural", own)]
    tints = state.rng.permutation(colors).tolist()[: len(layout)]
    if state.bernoulli(NATURAL_RATE):
        tints = [tints[0]] * (len(layout) - 1) + [tints[1]]
    placed = place_objects([replace(first, tint=tint) for tint in tints], layout)
    words = {tint: phrases.color_word(state, tint) for tint in tints}
    one = noun(first.object)
    each = [indefinite(f"{words[tint]} {one}") for tint in tints]
    if has_places:
        return listed(_with_places(state, each, placed, has_places)), placed
    return fill(state.rng, state.choice(_ALIKE_FORMS), {
        "number": NUMBERS[len(layout)],
        "many": phrases.plural_noun(first.object),
        "ones": listed([f"one {words[tint]}" for tint in tints]),
        "colors": listed([words[tint] for tint in tints]),
        "each": listed(each),
    }), placed  # fmt: skip


def _with_places(
    state: PhrasedState, things: Sequence[str], objects: Sequence[ObjectSpec], has_places: bool
) -> list[str]:
    if not has_places:
        return list(things)
    return [f"{thing} {phrases.place_phrase(state, obj.place)}" for thing, obj in zip(things, objects, strict=True)]
