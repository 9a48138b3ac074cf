"""Requests for media in an author's words: one medium, several in the requested order, spoken words."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from nextgpt.miniworld.language.lexicon import listed
from nextgpt.miniworld.language.phrasings import free_form, messages
from nextgpt.miniworld.language.phrasings import noun_phrases as phrases
from nextgpt.miniworld.language.phrasings.author import KNOWN_INTENTS, SLOT, UNKNOWN_INTENTS, shared_phrasings
from nextgpt.miniworld.language.phrasings.filling import fill
from nextgpt.miniworld.language.phrasings.state import PhrasedState
from nextgpt.miniworld.language.request_specs import DEFAULT_LAYOUTS, RequestSpec, sample_clip_with, sample_object_with
from nextgpt.miniworld.language.types import DialogueTurn
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.sample_specs import LAYOUTS, sample_object
from nextgpt.miniworld.specs import (
    BACKGROUNDS,
    MOTIONS,
    PITCHES,
    PLACES,
    SIZES,
    SOURCES,
    SPEEDS,
    TIMED_PATTERNS,
    TINTS,
    WORD_SOURCES,
    ClipSpec,
    MediaSpec,
    ObjectSpec,
    SceneSpec,
    SoundSpec,
    patterns_of,
)

BARE_RATE = 0.3
"""Probability that a request states nothing but the object or the source."""
STATED_RATE = 0.38
DEFAULT_MOTION = "right"
"""Motion of a video if none is requested."""
SPOKEN_PITCH = {"low": "in a low voice", "middle": "in a normal voice", "high": "in a high voice"}
DISTRACTING_SIZE_RATE = 0.05
SENTENCES_RATE = 0.08
WITHOUT_RATE = 0.04
NO_MOTION_RATE = 0.05
UNKNOWN_INTENT_RATE = 0.25
"""Probability that a known thing is requested in a template for unknown ones, so that no template means a refusal."""
SAME_THING_RATE = 0.12
"""Probability that a request for several media is for one thing in modalities that no author has templates for."""
MAX_TRIES = 10
_SOUND_WORDS = re.compile(
    r"\b(sounds?|play\w*|hear\w*|listen\w*|audio|nois\w*|record\w*|music|tunes?|notes?|tone|sfx|loud|ears?|ring|"
    r"quiet|melody|song|sample|pitch\w*|mp3|wav|acoustic\w*|chord|speakers?|volume|strum\w*|blast|imitate|mimic)\b",
    re.I,
)
_VIDEO_WORDS = re.compile(r"\b(video|clip|film|movie|vid|gif|animat\w*|cartoon|footage|loop|reel|motion)\b", re.I)


def request_image(state: PhrasedState) -> DialogueTurn | None:
    """Request an image."""
    if state.bernoulli(state.free_form_rate):
        return free_form.request_freely(state, "image")
    if messages.has_message(state, "image"):
        return messages.request_in_message(state, "image")
    if state.author.has("without") and state.bernoulli(WITHOUT_RATE):
        return _request_without(state)
    if state.bernoulli(SENTENCES_RATE):
        return _request_in_sentences(state)
    spec = sample_request(state, "image")
    if spec is None:
        return None
    return state.media_turn("text_to_image", request_words(state, "image", spec.phrase), spec.spec)


def request_words(state: PhrasedState, modality: str, phrase: str) -> str:
    """Return a request for the known thing ``phrase``, at times in a template for unknown things."""
    unknown = UNKNOWN_INTENTS[modality]
    if state.author.has(unknown) and state.bernoulli(UNKNOWN_INTENT_RATE):
        return state.phrase_request(unknown, x=phrase)
    return state.phrase_request(KNOWN_INTENTS[modality], what=phrase)


def _request_in_sentences(state: PhrasedState) -> DialogueTurn | None:
    """Request an image of one object whose attributes follow in sentences of their own."""
    names = [name for name in ("tint", "place", "size", "background") if state.bernoulli(0.45)] or ["tint"]
    scene = state.sample_in_split(lambda: _scene_with(state, names))
    if scene is None:
        return None
    (obj,) = scene.objects
    values = {
        "color": phrases.color_word(state, obj.tint),
        "place": phrases.place_phrase(state, obj.place),
        "size": phrases.size_word(state, obj.size),
        "background": phrases.background_phrase(state, scene.background),
        "bg": phrases.background_word(state, scene.background),
    }
    bare = phrases.object_phrase(state, replace(obj, tint="natural"), may_color=False)
    sentences = [state.fill_intent("image", what=bare).rstrip(". ")]
    for index in state.rng.permutation(len(names)).tolist():
        sentences.append(state.fill_shared("attributes_after", names[index], **values))
    has_comma = len(sentences) == 2 and not sentences[0].endswith("?") and state.bernoulli(0.3)
    words = (", " if has_comma else ". ").join(sentences).replace("?. ", "? ").replace("!. ", "! ")
    return state.media_turn("text_to_image", state.typed(words), scene)


def _scene_with(state: PhrasedState, names: Sequence[str]) -> SceneSpec | None:
    """Sample a scene of one object with no default tint, and with any value for the other attributes in ``names``."""
    obj = sample_object_with(state, names)
    if "tint" in names and obj.tint == "natural":
        return None
    return SceneSpec((obj,), state.choice(BACKGROUNDS) if "background" in names else "white")


def _request_without(state: PhrasedState) -> DialogueTurn | None:
    scene = state.sample_in_split(lambda: SceneSpec((_natural(sample_object(state.rng)),)))
    if scene is None:
        return None
    (obj,) = scene.objects
    other = state.choice([name for name in OBJECTS if name != obj.object])
    thing, noun = phrases.object_phrase(state, obj), phrases.bare_noun(state, other)
    return state.media_turn("text_to_image", state.phrase_intent("without", thing=thing, noun=noun), scene)


def _natural(obj: ObjectSpec) -> ObjectSpec:
    return replace(obj, tint="natural")


def request_audio(state: PhrasedState) -> DialogueTurn | None:
    """Request a sound."""
    if state.bernoulli(state.free_form_rate):
        return free_form.request_freely(state, "audio")
    if messages.has_message(state, "audio"):
        return messages.request_in_message(state, "audio")
    for _ in range(MAX_TRIES):
        spec = sample_request(state, "audio")
        if spec is None:
            return None
        assert isinstance(spec.spec, SoundSpec)
        words = request_words(state, "audio", spec.phrase)
        # Without a word for sound, an object that can be drawn is meant as an image.
        if _SOUND_WORDS.search(words) or spec.spec.source not in OBJECTS:
            return state.media_turn("text_to_audio", words, spec.spec)
    return None


def request_speech(state: PhrasedState) -> DialogueTurn | None:
    """Request a spoken word."""
    if not state.author.has("speech"):
        return None
    sound = state.sample_in_split(lambda: _any_speech(state))
    if sound is None:
        return None
    words = state.phrase_intent("speech", word=sound.source.removeprefix("the word ")).rstrip(".")
    if words[-1] != "?":
        how = [SPOKEN_PITCH[sound.pitch]] if sound.pitch != "middle" else []
        if sound.pattern != "single":
            how.append(phrases.pattern_words(state, sound.pattern))
        if sound.speed == "fast":
            how.append(phrases.speed_word(state, "fast"))
        words = " ".join([words, *how])
    elif sound != SoundSpec(sound.source):
        return None
    return state.media_turn("text_to_audio", words, sound)


def _any_speech(state: PhrasedState) -> SoundSpec:
    source = state.choice(WORD_SOURCES)
    if state.bernoulli(0.65):
        return SoundSpec(source)
    pattern = state.choice(("single", "repeated", "repeated"))
    speed = state.choice(SPEEDS) if pattern == "repeated" else "slow"
    return SoundSpec(source, state.choice(PITCHES), pattern, speed)


def request_video(state: PhrasedState) -> DialogueTurn | None:
    """Request a video, at times without stating the motion."""
    if state.bernoulli(state.free_form_rate):
        return free_form.request_freely(state, "video")
    if messages.has_message(state, "video"):
        return messages.request_in_message(state, "video")
    has_motion = not state.bernoulli(NO_MOTION_RATE)
    clip = state.sample_in_split(
        lambda: _any_clip(state) if has_motion else replace(_any_clip(state), motion=DEFAULT_MOTION)
    )
    if clip is None:
        return None
    if has_motion:
        return state.media_turn("text_to_video", _video_words(state, clip), clip)
    words = request_words(state, "video", f"{_clip_object(state, clip)}{_clip_background(state, clip)}")
    # Without a motion, only a word for video tells the request from one for an image.
    return state.media_turn("text_to_video", words, clip) if _VIDEO_WORDS.search(words) else None


def _video_words(state: PhrasedState, clip: ClipSpec) -> str:
    """Return a request for a video in one of the author's three kinds of templates."""
    intents = [i for i, share in (("video_ing", 6), ("video_inf", 3), ("video_the", 1)) for _ in range(share)]
    intent = state.choice([intent for intent in intents if state.author.has(intent)])
    where = _clip_background(state, clip)
    ing, inf, third = phrases.motion_forms(state, clip.motion, clip.object)
    thing = _clip_object(state, clip)
    if intent == "video_ing":
        return state.phrase_request(intent, what=_clip_words(state, thing, ing, where))
    values = {"inf": inf, "s": third} if intent == "video_inf" else {"ing": ing}
    placed = {slot: form + where for slot, form in values.items()}
    return state.phrase_request(intent, thing=thing, **placed)


def _clip_background(state: PhrasedState, clip: ClipSpec) -> str:
    return f" {phrases.background_phrase(state, clip.background)}" if clip.background != "white" else ""


def _clip_object(state: PhrasedState, clip: ClipSpec) -> str:
    """Return the object of a video; at times with a size, which videos do not have."""
    size = state.choice(SIZES) if state.bernoulli(DISTRACTING_SIZE_RATE) else ""
    return phrases.object_phrase(state, ObjectSpec(clip.object, clip.tint), size=size).replace(",", " in")


def _clip_words(state: PhrasedState, thing: str, ing: str, where: str) -> str:
    return f"{thing}{where} {ing}" if where and state.bernoulli(0.25) else f"{thing} {ing}{where}"


def sample_request(state: PhrasedState, modality: str) -> RequestSpec | None:
    """Sample a spec with the noun phrase that requests it; attributes that are not stated have their defaults."""
    return state.first_in_split(lambda: _REQUESTS[modality](state), lambda request: request.spec)


def _stated(state: PhrasedState, *names: str) -> set[str]:
    rate = 1.0 if state.bernoulli(0.12) else STATED_RATE
    return {name for name in names if state.bernoulli(rate)}


def _sample_image(state: PhrasedState) -> RequestSpec:
    count = state.choice((1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3))
    if count == 1:
        return _sample_single(state)
    background, where = _background(state)
    sample = _identical if state.bernoulli(0.35) else _mixed if count == 3 and state.bernoulli(0.3) else _different
    words, objects = sample(state, count)
    return RequestSpec(f"{words} {where}".strip(), SceneSpec(objects, background))


def _sample_single(state: PhrasedState) -> RequestSpec:
    obj = sample_object(state.rng)
    if state.bernoulli(BARE_RATE):
        obj = _natural(obj)
        return RequestSpec(phrases.object_phrase(state, obj), SceneSpec((obj,)))
    stated = _stated(state, "tint", "place", "size")
    obj = ObjectSpec(
        obj.object,
        obj.tint if "tint" in stated else "natural",
        state.choice(PLACES) if "place" in stated else "center",
        state.choice(SIZES) if "size" in stated else "large",
    )
    background, where = _background(state)
    endings = [phrases.place_phrase(state, obj.place) if "place" in stated else "", where]
    if state.bernoulli(0.3):
        endings.reverse()
    thing = phrases.object_phrase(state, obj, size=obj.size if "size" in stated else "")
    joint = ", " if state.bernoulli(0.15) else " "
    return RequestSpec(joint.join(filter(None, [thing, *endings])), SceneSpec((obj,), background))


def _background(state: PhrasedState) -> tuple[str, str]:
    """Sample a background, with its phrase if it is stated."""
    if not state.bernoulli(STATED_RATE):
        return "white", ""
    background = state.choice(BACKGROUNDS)
    return background, phrases.background_phrase(state, background)


def place_objects(objects: Sequence[ObjectSpec], layout: Sequence[str]) -> tuple[ObjectSpec, ...]:
    """Return ``objects`` at the places of ``layout``."""
    return tuple(replace(obj, place=place) for obj, place in zip(objects, layout, strict=True))


def _identical(state: PhrasedState, count: int) -> tuple[str, tuple[ObjectSpec, ...]]:
    obj = sample_object(state.rng, size="small")
    if state.bernoulli(0.5):
        obj = _natural(obj)
    layout, words = DEFAULT_LAYOUTS[count], phrases.counted_phrase(state, obj, count)
    if state.bernoulli(0.2):
        layout = state.choice(LAYOUTS[count])
        words += f" {listed([phrases.place_phrase(state, place) for place in layout])}"
    return words, place_objects([obj] * count, layout)


def _mixed(state: PhrasedState, count: int) -> tuple[str, tuple[ObjectSpec, ...]]:
    """Sample two identical objects and another: ``"two cats and a dog"``."""
    pair, other = (_natural(sample_object(state.rng, size="small")) for _ in range(2))
    things = [phrases.counted_phrase(state, pair, 2), phrases.object_phrase(state, other)]
    if state.bernoulli(0.3):
        return listed(things[::-1]), place_objects((other, pair, pair), DEFAULT_LAYOUTS[count])
    return listed(things), place_objects((pair, pair, other), DEFAULT_LAYOUTS[count])


_RELATIONS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("left", "right"): (
        "{0} next to {1}", "{0} beside {1}", "{0} and {1} side by side", "{0} to the left of {1}",
        "{1} to the right of {0}", "{0} on the left of {1}", "{1} on the right side of {0}", "{0} with {1} next to it",
    ),
    ("top", "bottom"): (
        "{0} above {1}", "{1} below {0}", "{1} under {0}", "{0} over {1}", "{1} underneath {0}", "{0} on top of {1}",
    ),
}  # fmt: skip
_PAIRS = ("{0} and {1}", "{0} and {1}", "{0} and {1}", "{0} with {1}", "{0} & {1}", "{0} plus {1}")


def _different(state: PhrasedState, count: int) -> tuple[str, tuple[ObjectSpec, ...]]:
    """Sample several different objects: with their places, with a relation, or listed."""
    kind = state.choice(("plain", "plain", "plain", "places", "relation"))
    layout = DEFAULT_LAYOUTS[count]
    if kind == "relation" and count == 2:
        layout = state.choice(tuple(_RELATIONS))
    elif kind == "places":
        layout = tuple(state.rng.permutation(state.choice(LAYOUTS[count])).tolist())
    objects = tuple(sample_object(state.rng, place, "small") for place in layout)
    objects = tuple(_natural(obj) if state.bernoulli(0.4) else obj for obj in objects)
    things = [phrases.object_phrase(state, obj) for obj in objects]
    if kind == "places":
        things = [f"{t} {phrases.place_phrase(state, o.place)}" for t, o in zip(things, objects, strict=True)]
    elif count == 2:
        pair = state.choice(_RELATIONS[layout] if kind == "relation" else _PAIRS)
        named = objects if pair.index("{0}") < pair.index("{1}") else objects[::-1]
        return pair.format(*things), named
    return listed(things), objects


def _sample_audio(state: PhrasedState) -> RequestSpec:
    source = state.choice([source for source in SOURCES if source not in WORD_SOURCES])
    if state.bernoulli(BARE_RATE):
        return RequestSpec(phrases.source_noun_phrase(state, source), SoundSpec(source))
    stated = _stated(state, "pitch", "pattern", "speed")
    pitch = state.choice(PITCHES) if "pitch" in stated else ""
    pattern = state.choice(patterns_of(source)) if "pattern" in stated else ""
    speed = state.choice(SPEEDS) if "speed" in stated and pattern in (*TIMED_PATTERNS, "") else ""
    if speed and not pattern and not state.bernoulli(0.4):
        speed = ""
    # A speed alone means that a sound is repeated.
    meant = pattern or ("repeated" if speed else "single")
    words = phrases.sound_phrase(state, source, pitch, pattern, speed)
    return RequestSpec(words, SoundSpec(source, pitch or "middle", meant, speed or "slow"))


def _sample_video(state: PhrasedState) -> RequestSpec:
    clip = _any_clip(state)
    where = _clip_background(state, clip)
    ing = phrases.motion_forms(state, clip.motion, clip.object)[0]
    return RequestSpec(_clip_words(state, _clip_object(state, clip), ing, where), clip)


_REQUESTS: dict[str, Callable[[PhrasedState], RequestSpec]] = {
    "image": _sample_image,
    "audio": _sample_audio,
    "video": _sample_video,
}


def _any_clip(state: PhrasedState) -> ClipSpec:
    return sample_clip_with(state, _stated(state, "tint", "background"))


def request_several(state: PhrasedState) -> DialogueTurn | None:
    """Request two or three media in one message; the answer generates them in the requested order."""
    if state.bernoulli(state.free_form_rate):
        return free_form.request_several_freely(state)
    if messages.has_message(state, "several"):
        return messages.request_several_in_message(state, sample_request)
    shares = {"both": 3, "both_video": 1, "video_sound": 1, "several_np": 4, "several": 4, "triple": 1}
    kinds = [kind for kind, share in shares.items() if state.author.has(kind) for _ in range(share)]
    if not kinds:
        return None
    if state.bernoulli(SAME_THING_RATE):
        return _request_same_thing(state)
    kind = state.choice(kinds)
    if kind in ("both", "both_video", "video_sound"):
        return _request_both(state, kind)
    modalities = _several_modalities(state, 3 if kind == "triple" else 2)
    specs = [spec for modality in modalities if (spec := sample_request(state, modality))]
    if len(specs) < len(modalities):
        return None
    clauses = "media_clauses" if kind == "several" else "media_nouns"
    values = {
        letter: state.fill_shared(clauses, modality, what=spec.phrase)
        for letter, modality, spec in zip("abc", modalities, specs, strict=False)
    }
    words = state.phrase_request(kind, **values)
    return state.media_turn("text_to_several", words, *[spec.spec for spec in specs])


def _several_modalities(state: PhrasedState, count: int) -> list[str]:
    if count == 2 and state.bernoulli(0.12):
        return [state.choice(("image", "audio", "video"))] * 2
    return state.rng.permutation(["image", "audio", "video"]).tolist()[:count]


def _request_both(state: PhrasedState, kind: str) -> DialogueTurn | None:
    """Request an image of an object and its sound, an image and a video, or a video and its sound."""
    names = [k.name for k in OBJECTS.values() if k.sound or kind == "both_video"]
    for _ in range(30):
        obj = _any_object(state, names, 0.3)
        image, clip = SceneSpec((obj,)), ClipSpec(obj.object, obj.tint, motion=DEFAULT_MOTION)
        sound = SoundSpec(OBJECTS[obj.object].sound or "")
        specs = {"both": (image, sound), "both_video": (image, clip), "video_sound": (clip, sound)}[kind]
        if all(map(state.in_split, specs)):
            words = state.phrase_request(kind, thing=phrases.object_phrase(state, obj))
            return state.media_turn("text_to_several", words, *specs)
    return None


def _any_object(state: PhrasedState, names: Sequence[str], tint_rate: float) -> ObjectSpec:
    obj = ObjectSpec(state.choice(names))
    return phrases.tinted(obj, state.choice(TINTS[1:])) if state.bernoulli(tint_rate) else obj


def _request_same_thing(state: PhrasedState) -> DialogueTurn | None:
    """Request a video with a sound, all three modalities, or an image and a video, of one object."""
    kind = state.choice(("image_video", "video_audio", "all"))
    names = [k.name for k in OBJECTS.values() if k.sound or kind == "image_video"]
    for _ in range(30):
        obj = _any_object(state, names, 0.25)
        clip = ClipSpec(obj.object, obj.tint, motion=state.choice(MOTIONS))
        image, sound = SceneSpec((obj,)), SoundSpec(OBJECTS[obj.object].sound or "")
        by_kind = {"image_video": (image, clip), "video_audio": (clip, sound), "all": (image, sound, clip)}
        specs: tuple[MediaSpec, ...] = by_kind[kind]
        if all(map(state.in_split, specs)):
            ing, inf, third = phrases.motion_forms(state, clip.motion, obj.object)
            values = {"thing": phrases.object_phrase(state, obj), "ing": ing, "inf": inf, "s": third}
            pattern = state.choice(shared_phrasings()[kind])
            if not {"ing", "inf", "s"} & set(SLOT.findall(pattern)):
                still = replace(clip, motion=DEFAULT_MOTION)
                specs = tuple(still if spec == clip else spec for spec in specs)
            words = state.typed(state.surround(fill(state.rng, pattern, values)))
            return state.media_turn("text_to_several", words, *specs)
    return None
