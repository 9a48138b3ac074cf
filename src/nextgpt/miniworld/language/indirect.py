"""Requests that say things indirectly: what was talked about, the colour of the sky, the animal that barks."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nextgpt.miniworld.language.dialogue import Turn
from nextgpt.miniworld.language.facts import riddles
from nextgpt.miniworld.language.phrasing import Phrasings
from nextgpt.miniworld.language.talk import Talk, present
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.scene import TIMED_PATTERNS, Content, Placed, Scene, Sound

COLORS: dict[str, tuple[str, ...]] = {
    "red": ("blood", "a fire truck", "a ripe tomato"),
    "orange": ("a carrot", "a basketball"),
    "yellow": ("the sun", "a lemon", "a banana"),
    "green": ("grass", "a frog", "leaves"),
    "blue": ("the sky", "the sea", "a dolphin"),
    "purple": ("grapes", "an umbrella"),
    "pink": ("a pig", "a tulip"),
}
"""Things of each colour."""
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
DRAW = Phrasings(
    (
        "draw {what}{how}.",
        "[please |]paint {what}{how}.",
        "show me {what}{how}.",
        "make a picture of {what}{how}.",
        "I want to see {what}{how}.",
        "[can|could] you draw {what}{how}?",
    ),
    held_out=(
        "I want a picture of {what}{how}.",
        "[can|could] you show me {what}{how}?",
        "please show me {what}{how}.",
    ),
)
PLAY = Phrasings(
    (
        "play {what}{how}.",
        "let me hear {what}{how}.",
        "I want to hear {what}{how}.",
        "[can|could] you play {what}{how}?",
        "make the sound of {what}{how}.",
    ),
    held_out=(
        "[can|could] I hear {what}{how}?",
        "please let me hear {what}{how}.",
        "I want you to play {what}{how}.",
    ),
)
TALKED = ("the {category} we talked about", "the {category} we spoke of", "the {category} I asked about")
PLURAL_CATEGORIES = ("animal", "vehicle", "instrument", "shape", "food")
"""What an object can be called when it was talked about."""


@dataclass(frozen=True)
class Meant:
    """A content and how it is said."""

    content: Content
    what: str
    how: str


def indirect(talk: Talk, modality: str) -> Turn | None:
    """A request whose object was talked about or is guessed, with attributes that are said by comparison."""
    draw = {"image": _picture, "audio": _sound}[modality]
    meant = talk.first_suiting(lambda: draw(talk), lambda meant: meant.content)
    if meant is None:
        return None
    words = talk.say({"image": DRAW, "audio": PLAY}[modality], what=meant.what, how=meant.how)
    return Turn(f"indirect_{modality}", (words,), present(talk, meant.content))


def _picture(talk: Talk) -> Meant | None:
    named = _named(talk, {name: name for name in OBJECTS})
    if named is None:
        return None
    name, what = named
    placed, background, how = Placed(name), "white", ""
    if talk.chance(0.75):
        color = talk.choose(tuple(COLORS))
        placed = replace(placed, tint="natural" if OBJECTS[name].color == color else color)
        how += f" in the color of {talk.choose(COLORS[color])}"
    if not how or talk.chance(0.3):
        background = talk.choose(tuple(BACKGROUNDS))
        how += f"{',' if how else ''} {talk.choose(BACKGROUNDS[background])}"
    return Meant(Scene((placed,), background), what, how)


def _sound(talk: Talk) -> Meant | None:
    sources = {kind.name: kind.sound for kind in OBJECTS.values() if kind.sound}
    named = _named(talk, sources)
    if named is None:
        return None
    name, what = named
    sound, how = Sound(sources[name]), ""
    if talk.chance(0.7):
        pitch = talk.choose(tuple(PITCHES))
        sound, how = replace(sound, pitch=pitch), f" {talk.choose(PITCHES[pitch])}"
    if not how or talk.chance(0.4):
        pattern = talk.choose(tuple(PATTERNS))
        assert pattern in TIMED_PATTERNS
        sound, how = (
            replace(sound, pattern=pattern),
            f"{how}{',' if how else ''} {talk.choose(PATTERNS[pattern])}",
        )
    return Meant(sound, what, how)


def _named(talk: Talk, names: dict[str, str]) -> tuple[str, str] | None:
    """One of ``names`` and the words for it: what was talked about, else a riddle's."""
    topics = [turn.topic for turn in talk.turns if turn.topic]
    categories = [OBJECTS[topic].category for topic in dict.fromkeys(topics)]
    known = [t for t in topics if t in names and categories.count(OBJECTS[t].category) == 1]
    known = [topic for topic in known if OBJECTS[topic].category in PLURAL_CATEGORIES]
    if known:
        topic = talk.choose(known)
        return topic, talk.choose(TALKED).format(category=OBJECTS[topic].category)
    guessed = [(does, name) for does, name in riddles().items() if name in names]
    does, name = talk.choose(guessed)
    return name, f"the {OBJECTS[name].category} that {does}"
