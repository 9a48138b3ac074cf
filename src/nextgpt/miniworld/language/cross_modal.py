"""Cross-modal requests: the sound of an object in an image, the image of a sound source, a moving object."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nextgpt.miniworld.language.captions import object_phrase
from nextgpt.miniworld.language.dialogue_state import DialogueState, describe_intro
from nextgpt.miniworld.language.edit_operations import MOTION_VERBS
from nextgpt.miniworld.language.lexicon import background_forms, indefinite, noun, source_phrase
from nextgpt.miniworld.language.out_of_domain import unknown_image_answer, unknown_sound_answer
from nextgpt.miniworld.language.templates import TemplateSet, load_templates
from nextgpt.miniworld.language.types import DialogueTurn, MediaPart, TurnPart
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.specs import (
    BACKGROUNDS,
    MOTIONS,
    PATTERNS,
    PITCHES,
    ClipSpec,
    MediaSpec,
    ObjectSpec,
    SceneSpec,
    SoundSpec,
)

TEMPLATES = load_templates("cross_modal")

UNKNOWN_SHARE = 0.12
"""Probability that the object has no sound in the small world."""
PLAIN_SHARE = 0.5
"""Probability of a request without qualifiers."""


def cross_modal_request(state: DialogueState) -> DialogueTurn | None:
    """Sample a request for one modality that follows from a medium of another."""
    for index in state.rng.permutation(len(REQUESTS)).tolist():
        if turn := REQUESTS[index](state):
            return turn
    return None


def _image_to_audio(state: DialogueState) -> DialogueTurn | None:
    scene = _last_or_new(state, "image", lambda: _scene_with_source(state))
    if not isinstance(scene, SceneSpec) or len(scene.objects) > 1:
        return None
    name = scene.objects[0].object
    source = OBJECTS[name].sound
    if source is None:
        return DialogueTurn(
            "outside",
            state.user_parts(scene, state.phrase(TEMPLATES["image_to_audio"])),
            (unknown_sound_answer(),),
            (("do not know",),),
        )
    options = [Option(SoundSpec(source), "", TEMPLATES["image_to_audio"])]
    options += [
        Option(SoundSpec(source, pitch), f"at a {pitch} pitch", TEMPLATES["image_to_audio_qualified"])
        for pitch in PITCHES
    ]
    options += [
        Option(SoundSpec(source, pattern=p), p, TEMPLATES["image_to_audio_qualified"])
        for p in PATTERNS
        if p in ("rising", "falling")
    ]
    return _request_turn(state, scene, options, f"This is {indefinite(noun(name))}.")


def _audio_to_image(state: DialogueState) -> DialogueTurn | None:
    sound_spec = _last_or_new(state, "audio", lambda: state.sample("audio"))
    if not isinstance(sound_spec, SoundSpec):
        return None
    names = [kind.name for kind in OBJECTS.values() if kind.sound == sound_spec.source]
    if not names:
        return DialogueTurn(
            "outside",
            state.user_parts(sound_spec, state.phrase(TEMPLATES["audio_to_image"])),
            (unknown_image_answer(),),
            (("do not know",),),
        )
    options = [Option(SceneSpec((ObjectSpec(names[0]),)), "", TEMPLATES["audio_to_image"])]
    options += [
        Option(
            SceneSpec((ObjectSpec(names[0]),), background),
            state.choice(background_forms(background)),
            TEMPLATES["audio_to_image_qualified"],
        )
        for background in BACKGROUNDS
    ]
    return _request_turn(state, sound_spec, options, f"This is {source_phrase(sound_spec.source)}.")


def _image_to_video(state: DialogueState) -> DialogueTurn | None:
    scene = _last_or_new(state, "image", lambda: state.sample("image"))
    if not isinstance(scene, SceneSpec) or len(scene.objects) > 1:
        return None
    obj = scene.objects[0]
    options = [
        Option(
            ClipSpec(obj.object, obj.tint, scene.background, motion), _third_person(motion), TEMPLATES["image_to_video"]
        )
        for motion in MOTIONS
    ]
    return _request_turn(state, scene, options, "")


def _video_to_image(state: DialogueState) -> DialogueTurn | None:
    clip = _last_or_new(state, "video", lambda: state.sample("video"))
    if not isinstance(clip, ClipSpec):
        return None
    options = [
        Option(
            SceneSpec((ObjectSpec(clip.object, clip.tint),), background),
            state.choice(background_forms(background)),
            TEMPLATES["video_to_image"],
        )
        for background in BACKGROUNDS
    ]
    return _request_turn(state, clip, options, "", thing=object_phrase(clip.object, "natural", state.rng))


REQUESTS: tuple[Callable[[DialogueState], DialogueTurn | None], ...] = (
    _image_to_audio,
    _image_to_audio,
    _audio_to_image,
    _audio_to_image,
    _image_to_video,
    _video_to_image,
)


@dataclass(frozen=True)
class Option:
    """A possible target: spec, qualifying phrase and templates."""

    spec: MediaSpec
    qualifier: str
    templates: TemplateSet


def _request_turn(
    state: DialogueState, input_spec: MediaSpec, options: list[Option], what: str, **values: str
) -> DialogueTurn | None:
    """Sample a request for one of ``options`` of the split; ``what`` names the input medium."""
    options_in_split = [option for option in options if state.in_split(option.spec)]
    if not options_in_split:
        return None
    option = options_in_split[0] if state.bernoulli(PLAIN_SHARE) else state.choice(options_in_split)
    qualifiers = dict.fromkeys(("how", "moves", "where"), option.qualifier)
    words = state.user_parts(input_spec, state.phrase(option.templates, **qualifiers, **values))
    answer: tuple[TurnPart, ...] = (f"{what} Here {describe_intro(option.spec)}.".strip(), MediaPart(option.spec))
    return DialogueTurn("link", words, answer)


def _last_or_new(state: DialogueState, modality: str, draw: Callable[[], MediaSpec | None]) -> MediaSpec | None:
    """Return the last spec if it is of ``modality``, otherwise a new one."""
    return state.media[-1].spec if state.media and state.media[-1].modality == modality else draw()


def _scene_with_source(state: DialogueState) -> MediaSpec | None:
    """Sample an image of one object, usually one that has a sound."""
    is_linked = not state.bernoulli(UNKNOWN_SHARE)

    def draw() -> SceneSpec:
        kinds = [kind for kind in OBJECTS.values() if (kind.sound is not None) == is_linked]
        kind = state.choice(kinds)
        return SceneSpec((ObjectSpec(kind.name, state.choice(kind.tints)),), state.choice(BACKGROUNDS))

    return state.first_in_split(draw, lambda scene: scene)


def _third_person(motion: str) -> str:
    verb, _, direction = MOTION_VERBS.get(motion, motion).partition(" ")
    return f"{verb}s {direction}".strip()
