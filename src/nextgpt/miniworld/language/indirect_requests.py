"""Indirect requests: an earlier topic, the color of the sky, the animal that barks."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nextgpt.miniworld.language.dialogue_state import DialogueState, media_answer
from nextgpt.miniworld.language.facts import riddle_answers
from nextgpt.miniworld.language.templates import load_templates
from nextgpt.miniworld.language.types import DialogueTurn
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.specs import TIMED_PATTERNS, MediaSpec, ObjectSpec, SceneSpec, SoundSpec

TEMPLATES = load_templates("indirect_requests")

COLORS: dict[str, tuple[str, ...]] = {
    "red": ("blood", "a fire truck", "a ripe tomato"),
    "orange": ("a carrot", "a basketball"),
    "yellow": ("the sun", "a lemon", "a banana"),
    "green": ("grass", "a frog", "leaves"),
    "blue": ("the sky", "the sea", "a dolphin"),
    "purple": ("grapes", "an umbrella"),
    "pink": ("a pig", "a tulip"),
}
"""Objects that stand for each color."""
BACKGROUNDS: dict[str, tuple[str, ...]] = {
    "grass": ("where cows eat",),
    "sea": ("where whales live", "where ships sail"),
    "night": ("when owls hunt", "when the moon shines"),
    "sunset": ("when the sun goes down", "when the day ends"),
}
PITCHES: dict[str, tuple[str, ...]] = {
    "low": ("as deep as a bear growls", "as deep as a ship's horn"),
    "high": ("as high as a mouse squeaks", "as high as a little bird sings"),
}
PATTERNS: dict[str, tuple[str, ...]] = {
    "rising": ("like going up the stairs", "like a rocket that starts"),
    "falling": ("like going down the stairs", "like a stone that falls"),
    "repeated": ("again and again like a clock", "like somebody who knocks three times"),
}
TOPIC_REFERENCES = ("the {category} we talked about", "the {category} we spoke of", "the {category} I asked about")
PLURAL_CATEGORIES = ("animal", "vehicle", "instrument", "shape", "food")
"""Categories that can name an earlier topic."""


@dataclass(frozen=True)
class IndirectTarget:
    """A spec and its indirect phrases."""

    spec: MediaSpec
    object_phrase: str
    qualifier: str


def indirect_request(state: DialogueState, modality: str) -> DialogueTurn | None:
    """Sample a request whose object is an earlier topic or a riddle, with attributes by comparison."""
    draw = {"image": _scene_target, "audio": _sound_target}[modality]
    target = state.first_in_split(lambda: draw(state), lambda target: target.spec)
    if target is None:
        return None
    words = state.phrase(TEMPLATES[modality], what=target.object_phrase, how=target.qualifier)
    return DialogueTurn(f"indirect_{modality}", (words,), media_answer(state, target.spec))


def _scene_target(state: DialogueState) -> IndirectTarget | None:
    selection = _pick_object(state, {name: name for name in OBJECTS})
    if selection is None:
        return None
    name, object_phrase = selection
    obj, background, qualifier = ObjectSpec(name), "white", ""
    if state.bernoulli(0.75):
        color = state.choice(tuple(COLORS))
        obj = replace(obj, tint="natural" if OBJECTS[name].color == color else color)
        qualifier += f" in the color of {state.choice(COLORS[color])}"
    if not qualifier or state.bernoulli(0.3):
        background = state.choice(tuple(BACKGROUNDS))
        qualifier += f"{',' if qualifier else ''} {state.choice(BACKGROUNDS[background])}"
    return IndirectTarget(SceneSpec((obj,), background), object_phrase, qualifier)


def _sound_target(state: DialogueState) -> IndirectTarget | None:
    sources = {kind.name: kind.sound for kind in OBJECTS.values() if kind.sound}
    selection = _pick_object(state, sources)
    if selection is None:
        return None
    name, object_phrase = selection
    sound, qualifier = SoundSpec(sources[name]), ""
    if state.bernoulli(0.7):
        pitch = state.choice(tuple(PITCHES))
        sound, qualifier = replace(sound, pitch=pitch), f" {state.choice(PITCHES[pitch])}"
    if not qualifier or state.bernoulli(0.4):
        pattern = state.choice(tuple(PATTERNS))
        assert pattern in TIMED_PATTERNS
        sound, qualifier = (
            replace(sound, pattern=pattern),
            f"{qualifier}{',' if qualifier else ''} {state.choice(PATTERNS[pattern])}",
        )
    return IndirectTarget(sound, object_phrase, qualifier)


def _pick_object(state: DialogueState, names: dict[str, str]) -> tuple[str, str] | None:
    """Pick one of ``names`` with a phrase for it: an earlier topic if possible, otherwise a riddle."""
    topics = [turn.topic for turn in state.turns if turn.topic]
    categories = [OBJECTS[topic].category for topic in dict.fromkeys(topics)]
    usable_topics = [t for t in topics if t in names and categories.count(OBJECTS[t].category) == 1]
    usable_topics = [topic for topic in usable_topics if OBJECTS[topic].category in PLURAL_CATEGORIES]
    if usable_topics:
        topic = state.choice(usable_topics)
        return topic, state.choice(TOPIC_REFERENCES).format(category=OBJECTS[topic].category)
    riddles = [(does, name) for does, name in riddle_answers().items() if name in names]
    does, name = state.choice(riddles)
    return name, f"the {OBJECTS[name].category} that {does}"
