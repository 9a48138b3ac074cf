"""Requests of free form: fragments in any order, media without a word for them, remarks around the request.

The authors' templates put what is requested into one noun phrase of a frame. People also write ``"pig. green. on a
pink background, don't ask"`` or ``"owl flying up as a video, plus some slow flute"``. The forms here are joined at
random from such fragments; the words for objects and attributes are the author's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from nextgpt.miniworld.language.phrasings import noun_phrases as phrases
from nextgpt.miniworld.language.phrasings.author import shared_phrasings
from nextgpt.miniworld.language.phrasings.filling import fill
from nextgpt.miniworld.language.phrasings.state import PhrasedState
from nextgpt.miniworld.language.request_specs import DEFAULT_LAYOUTS, RequestSpec, sample_clip_with, sample_object_with
from nextgpt.miniworld.language.types import DialogueTurn
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.sample_specs import LAYOUTS, sample_object
from nextgpt.miniworld.specs import (
    BACKGROUNDS,
    PITCHES,
    SOURCES,
    SPEEDS,
    TIMED_PATTERNS,
    WORD_SOURCES,
    ClipSpec,
    MediaSpec,
    ObjectSpec,
    SceneSpec,
    SoundSpec,
    patterns_of,
)

STATED_RATE = 0.45
IN_FRONT_RATE = 0.5
"""Probability that a color or a size stands before the noun and not in a fragment of its own."""
BARE_NOUN_RATE = 0.4
REMARK_RATE = 0.3
"""Probability of a remark before the request, and of one after it."""
IMAGE_FRAME_RATE = 0.6
SOUND_FRAME_RATE = 0.4
MAX_TRIES = 20

_SEPARATORS = (", ", ", ", ", ", ". ", " - ", "; ", " and ")
_FRAGMENTS: Mapping[str, tuple[str, ...]] = {
    "tint": (
        "{color}", "{color}", "in {color}", "a {color} one", "{color} one", "make it {color}", "it has to be {color}",
        "color {color}", "painted {color}", "{color} please", "and it's {color}", "must be {color}",
    ),
    "size": ("{size}", "a {size} one", "really {size}", "make it {size}", "quite {size}", "{size} please",
    "{size} one"),
    "place": (
        "{place}", "{place}", "{place}", "put it {place}", "it sits {place}", "{place} please", "{side}", "{side} side",
        "position {side}", "it should be {place}",
    ),
    "background": (
        "{background}", "{background}", "{background}", "{bg} background", "{bg} backdrop", "{bg} behind it",
        "background {bg}", "background: {bg}", "everything behind it {bg}", "with {bg} behind it", "{bg} all around",
        "the background is {bg}", "{bg} in the background", "with {bg} as the background",
    ),
    "pitch": ("{pitch}", "{pitch}", "{pitch} pitch", "a {pitch} one", "{pitch} notes", "nice and {pitch}",
    "{pitch} please"),
    "pattern": ("{pattern}", "{pattern}", "{pattern}", "played {pattern}", "{pattern} please"),
    "speed": ("{speed}", "{speed}", "really {speed}", "{speed} please", "played {speed}"),
}  # fmt: skip
_LIST_JOINTS = (" and ", " & ", " plus ", ", and ")
_PLACED_JOINTS = (", ", " and ", " & ", " plus ", ". ")
_SUFFIXES: Mapping[str, tuple[str, ...]] = {
    "image": (
        "as a picture", "in one picture", "as a drawing", "in a drawing", "picture please", "as an image",
        "drawn please",
        "just a picture", "for me to look at", "on a picture", "as a still image", "pic please", "(a picture)",
    ),
    "audio": (
        "as a sound", "sound please", "audio only", "let me hear it", "for my ears", "as audio", "just the sound",
        "to listen to", "play it please", "only the sound", "as a sound clip", "(sound)",
    ),
    "video": (
        "as a video", "as an animation", "in a video", "in a little video", "video please", "as a clip", "animated",
        "as a short film", "a few seconds of film", "please as a video", "as a gif", "in a clip", "(video)", "on film",
    ),
}  # fmt: skip
_LABELS: Mapping[str, tuple[str, ...]] = {
    "image": ("picture", "image", "drawing", "pic"),
    "audio": ("sound", "audio", "music"),
    "video": ("video", "clip", "animation"),
}
_JOINTS = (
    ", ", " and ", " and ", " plus ", " + ", ", then ", " and then ", ". Then ", ", also ", " and also ",
    " with ", "; ",
    ". Also ", ", and ", " together with ", " & ", ", afterwards ",
)  # fmt: skip
_INTRODUCTIONS = (
    "two things", "i need these", "here's what i want", "wish list", "to do", "the plan", "please do this", "my order",
    "what i'm after", "all of this please", "i'd love", "can you do",
)  # fmt: skip
_PAIRS: Mapping[str, tuple[str, ...]] = {
    "image": (
        "two pictures: one with {a}, another one with {b}", "two separate drawings, {a} and {b}",
        "one picture of {a}, one picture of {b}", "two images please: {a}. and {b}.",
        "a drawing of {a} and a second drawing of {b}",
        "draw {a}, and on another picture {b}",
    ),
    "audio": (
        "two sounds: {a}, then {b}", "first the sound of {a}, then {b} as a second sound",
        "one sound clip of {a}, one of {b}",
        "play {a}, and after that a second clip with {b}",
    ),
    "video": (
        "two videos: {a}, and {b}", "one clip with {a}, one clip with {b}", "a video of {a} and another video of {b}",
        "two separate animations please, {a} and {b}",
    ),
}  # fmt: skip
_WITH_SOUND = (
    "{what}{joint}and let me hear it", "{what} and its sound", "{what} with the sound it makes",
    "{what}{joint}and play its sound", "{what}. and what does it sound like?", "{what} plus its sound",
    "{what}, and the sound too please", "{what} and the noise it makes", "{what}, then the sound of it",
    "see and hear {what}",
)  # fmt: skip


def request_freely(state: PhrasedState, modality: str) -> DialogueTurn | None:
    """Request one medium in free form."""
    request = _sample(state, modality)
    if request is None:
        return None
    words = with_remarks(state, _framed(state, request, modality, _needs_frame(request.spec)))
    return state.media_turn(f"text_to_{modality}", state.typed(words), request.spec)


def request_several_freely(state: PhrasedState) -> DialogueTurn | None:
    """Request two or three media in free form, in the order of the answer."""
    kind = state.choice(("clauses", "clauses", "clauses", "labels", "pair", "with_sound"))
    sampled = {"pair": _pair, "with_sound": _with_sound, "labels": _labelled}.get(kind, _clauses)(state)
    if sampled is None:
        return None
    words, specs = sampled
    return state.media_turn("text_to_several", state.typed(with_remarks(state, words)), *specs)


def words_only(state: PhrasedState) -> str:
    """Return a message about things of the small world that wants an answer in words."""
    name = state.choice(tuple(OBJECTS))
    values = {
        "thing": phrases.object_phrase(state, ObjectSpec(name), may_color=False),
        "plural": phrases.plural_noun(name),
        "noun": phrases.bare_noun(state, name),
        "source": phrases.source_noun_phrase(state, state.choice([s for s in SOURCES if s not in WORD_SOURCES])),
    }
    template = state.choice(shared_phrasings()[state.choice(("words_only", "words_only", "not_this"))])
    return state.typed(fill(state.rng, template, values))


def with_remarks(state: PhrasedState, words: str) -> str:
    """Put remarks that mean nothing for the request before or after ``words``, at times."""
    if state.bernoulli(REMARK_RATE):
        words = f"{state.choice(shared_phrasings()['remarks_before'])} {words}"
    if state.bernoulli(REMARK_RATE):
        joint = state.choice((", ", ". ", " - ", "... ", "! "))
        words = f"{words.rstrip('.,!? ')}{joint}{state.choice(shared_phrasings()['remarks_after'])}"
    return words


def _needs_frame(spec: MediaSpec) -> bool:
    """Return True if nothing but a word for the medium tells it from another medium of the same thing."""
    if isinstance(spec, SoundSpec):
        return spec.source in OBJECTS and spec == SoundSpec(spec.source)
    return isinstance(spec, ClipSpec)


def _framed(state: PhrasedState, request: RequestSpec, modality: str, needs_frame: bool) -> str:
    """Return the words of a request with a word for the medium before or after them, or without one."""
    rate = IMAGE_FRAME_RATE if modality == "image" else SOUND_FRAME_RATE
    if not needs_frame and not state.bernoulli(rate):
        return request.phrase
    if state.bernoulli(0.5):
        joint = state.choice((", ", " ", ". "))
        return f"{request.phrase}{joint}{state.choice(_SUFFIXES[modality])}"
    if state.bernoulli(0.2):
        return f"{state.choice(_LABELS[modality])}: {request.phrase}"
    return state.fill_shared(state.choice(("media_nouns", "media_clauses")), modality, what=request.phrase)


def _sample(state: PhrasedState, modality: str) -> RequestSpec | None:
    return state.first_in_split(lambda: _SAMPLERS[modality](state), lambda request: request.spec)


def _fragment(state: PhrasedState, attribute: str, **values: str) -> str:
    return fill(state.rng, state.choice(_FRAGMENTS[attribute]), values)


def _joined(state: PhrasedState, head: str, fragments: Sequence[str]) -> str:
    """Join fragments in any order by one separator."""
    order = state.rng.permutation(len(fragments)).tolist()
    return state.choice(_SEPARATORS).join([head, *(fragments[index] for index in order)])


def _stated(state: PhrasedState, *names: str) -> set[str]:
    return {name for name in names if state.bernoulli(STATED_RATE)}


def _thing(state: PhrasedState, obj: ObjectSpec, front: set[str]) -> str:
    """Return a noun with the attributes in ``front`` before it, with or without an article."""
    shown = obj if "tint" in front else replace(obj, tint="natural")
    words = phrases.object_phrase(
        state, shown, size=obj.size if "size" in front else "", may_color="tint" in front or obj.tint == "natural"
    )
    return _without_article(state, words)


def _without_article(state: PhrasedState, words: str) -> str:
    """Remove the article before ``words``, at times."""
    if state.bernoulli(BARE_NOUN_RATE):
        return words.removeprefix("a ").removeprefix("an ").removeprefix("the ")
    return words


def _sample_image(state: PhrasedState) -> RequestSpec:
    count = state.choice((1, 1, 1, 1, 1, 2, 2, 2, 3))
    return _one_object(state) if count == 1 else _several_objects(state, count)


def _one_object(state: PhrasedState) -> RequestSpec:
    stated = _stated(state, "tint", "size", "place", "background")
    obj = sample_object_with(state, stated)
    if obj.tint == "natural":
        stated.discard("tint")
    background = state.choice(BACKGROUNDS) if "background" in stated else "white"
    front = {name for name in stated & {"tint", "size"} if state.bernoulli(IN_FRONT_RATE)}
    values = {
        "color": phrases.color_word(state, obj.tint),
        "size": phrases.size_word(state, obj.size),
        "place": phrases.place_phrase(state, obj.place),
        "side": obj.place,
        **phrases.background_values(state, background),
    }
    fragments = [_fragment(state, name, **values) for name in sorted(stated - front)]
    return RequestSpec(_joined(state, _thing(state, obj, front), fragments), SceneSpec((obj,), background))


def _several_objects(state: PhrasedState, count: int) -> RequestSpec:
    has_places = state.bernoulli(0.5)
    layout: Sequence[str] = DEFAULT_LAYOUTS[count]
    if has_places:
        layout = state.rng.permutation(state.choice(LAYOUTS[count])).tolist()
    objects = tuple(sample_object(state.rng, place, "small") for place in layout)
    if state.bernoulli(0.2):
        objects = tuple(phrases.tinted(replace(objects[0], place=obj.place), obj.tint) for obj in objects)
    objects = tuple(replace(obj, tint="natural") if state.bernoulli(0.45) else obj for obj in objects)
    things = [_thing(state, obj, {"tint"}) for obj in objects]
    if has_places:
        as_side = state.bernoulli(0.4)
        things = [
            f"{thing} {obj.place if as_side else phrases.place_phrase(state, obj.place)}"
            for thing, obj in zip(things, objects, strict=True)
        ]
    words = state.choice(_PLACED_JOINTS if has_places else _LIST_JOINTS).join(things)
    background = state.choice(BACKGROUNDS) if state.bernoulli(STATED_RATE) else "white"
    if background != "white":
        words = _joined(state, words, [_fragment(state, "background", **phrases.background_values(state, background))])
    return RequestSpec(words, SceneSpec(objects, background))


def _sample_audio(state: PhrasedState) -> RequestSpec:
    source = state.choice([source for source in SOURCES if source not in WORD_SOURCES])
    stated = _stated(state, "pitch", "pattern", "speed")
    pattern = state.choice(patterns_of(source)) if "pattern" in stated else "single"
    if "speed" in stated and pattern not in TIMED_PATTERNS:
        if "pattern" in stated:
            stated.discard("speed")
        else:
            pattern = "repeated"  # a speed alone means that a sound is repeated
    sound = SoundSpec(
        source,
        state.choice(PITCHES) if "pitch" in stated else "middle",
        pattern,
        state.choice(SPEEDS) if "speed" in stated else "slow",
    )
    noun = _without_article(state, phrases.source_noun_phrase(state, source))
    front = ""
    if "pitch" in stated and noun == source and state.bernoulli(IN_FRONT_RATE):
        stated.discard("pitch")
        front = phrases.pitch_word(state, sound.pitch)
    elif "speed" in stated and noun == source and state.bernoulli(IN_FRONT_RATE):
        stated.discard("speed")
        front = sound.speed
    values = {
        "pitch": phrases.pitch_word(state, sound.pitch),
        "pattern": phrases.pattern_words(state, sound.pattern),
        "speed": phrases.speed_word(state, sound.speed),
    }
    fragments = [_fragment(state, name, **values) for name in sorted(stated)]
    some = "some " if front and state.bernoulli(0.4) else ""
    return RequestSpec(_joined(state, f"{some}{front} {noun}".strip(), fragments), sound)


def _sample_video(state: PhrasedState) -> RequestSpec:
    stated = _stated(state, "tint", "background")
    clip = sample_clip_with(state, stated)
    if clip.tint == "natural":
        stated.discard("tint")
    front = {name for name in stated & {"tint"} if state.bernoulli(IN_FRONT_RATE)}
    ing, _, third = phrases.motion_forms(state, clip.motion, clip.object)
    thing = _thing(state, ObjectSpec(clip.object, clip.tint), front)
    move = state.choice(("{t} {ing}", "{t} {ing}", "{t} that {s}", "{t}, {ing}", "{t} which {s}", "{t}. {ing}"))
    values = {"color": phrases.color_word(state, clip.tint), **phrases.background_values(state, clip.background)}
    fragments = [_fragment(state, name, **values) for name in sorted(stated - front)]
    return RequestSpec(_joined(state, move.format(t=thing, ing=ing, s=third), fragments), clip)


_SAMPLERS: Mapping[str, Callable[[PhrasedState], RequestSpec]] = {
    "image": _sample_image,
    "audio": _sample_audio,
    "video": _sample_video,
}
_Several = tuple[str, tuple[MediaSpec, ...]]


def _requests(state: PhrasedState, modalities: Sequence[str]) -> list[RequestSpec] | None:
    requests = [request for modality in modalities if (request := _sample(state, modality))]
    return requests if len(requests) == len(modalities) else None


def _modalities(state: PhrasedState) -> list[str]:
    order = state.rng.permutation(["image", "audio", "video"]).tolist()
    return order[: state.choice((2, 2, 2, 3))]


def _clauses(state: PhrasedState) -> _Several | None:
    """Join requests by conjunctions; a medium that could be another one has a word for it."""
    modalities = _modalities(state)
    requests = _requests(state, modalities)
    if requests is None:
        return None
    parts = [
        _framed(state, request, modality, modality == "image" or _needs_frame(request.spec))
        for modality, request in zip(modalities, requests, strict=True)
    ]
    words = parts[0]
    for part in parts[1:]:
        words += state.choice(_JOINTS) + part
    if state.bernoulli(0.15):
        words = f"{state.choice(_INTRODUCTIONS)}: {words}"
    return words, tuple(request.spec for request in requests)


def _labelled(state: PhrasedState) -> _Several | None:
    """Write ``"picture: house left, tree right. sound: choir"``, or a numbered list."""
    modalities = _modalities(state)
    requests = _requests(state, modalities)
    if requests is None:
        return None
    separator = state.choice((". ", "; ", ", ", " / ", " "))
    is_numbered = state.bernoulli(0.3)
    parts = []
    for number, (modality, request) in enumerate(zip(modalities, requests, strict=True), start=1):
        label = f"{number}) " if is_numbered else ""
        parts.append(f"{label}{state.choice(_LABELS[modality])}: {request.phrase}")
    return separator.join(parts), tuple(request.spec for request in requests)


def _pair(state: PhrasedState) -> _Several | None:
    """Request two media of one modality."""
    modality = state.choice(("image", "image", "video", "audio"))
    requests = _requests(state, (modality, modality))
    if requests is None:
        return None
    one, other = requests
    words = fill(state.rng, state.choice(_PAIRS[modality]), {"a": one.phrase, "b": other.phrase})
    return words, (one.spec, other.spec)


def _with_sound(state: PhrasedState) -> _Several | None:
    """Request an image or a video of something, and its sound."""
    for _ in range(MAX_TRIES):
        modality = state.choice(("image", "image", "video"))
        request = _sample(state, modality)
        if request is None:
            return None
        name = request.spec.object if isinstance(request.spec, ClipSpec) else _only_object(request.spec)
        sound = OBJECTS[name].sound if name else None
        if sound and state.in_split(SoundSpec(sound)):
            what = _framed(state, request, modality, needs_frame=True)
            joint = state.choice((", ", " ", ". "))
            words = fill(state.rng, state.choice(_WITH_SOUND), {"what": what, "joint": joint})
            return words, (request.spec, SoundSpec(sound))
    return None


def _only_object(spec: MediaSpec) -> str | None:
    """Return the object of an image of one object."""
    return spec.objects[0].object if isinstance(spec, SceneSpec) and len(spec.objects) == 1 else None
