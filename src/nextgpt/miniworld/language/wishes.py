"""What people ask for: some attributes are said, and what they leave open is meant as the default.

A picture's default is large, in its natural colours, in the center of a white background; a sound's is one at the
middle pitch. Two objects stand left and right, three at the top left, top right and bottom.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from nextgpt.miniworld.language.captions import say_kind
from nextgpt.miniworld.language.descriptions import as_read, counted
from nextgpt.miniworld.language.talk import Talk
from nextgpt.miniworld.language.wording import (
    MOTION_FORMS,
    PATTERN_FORMS,
    PITCH_FORMS,
    PLACE_FORMS,
    SPEED_FORMS,
    background_forms,
    indefinite,
    is_instrument,
    listed,
    source_phrase,
)
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.sampling import LAYOUTS, sample_placed
from nextgpt.miniworld.scene import (
    BACKGROUNDS,
    MOTIONS,
    PITCHES,
    PLACES,
    SIZES,
    SOURCES,
    SPEEDS,
    TIMED_PATTERNS,
    Clip,
    Content,
    Placed,
    Scene,
    Sound,
    patterns_of,
)

FULL_SHARE = 0.3
"""How often a request leaves nothing open."""
STATED_SHARE = 0.45
"""How often an attribute is said otherwise."""
OWN_COLOR_SHARE = 0.2
"""How often the natural colour of an object is said, as in a red apple, though it changes nothing."""
ALIKE_SHARE = 0.35
"""How often several objects are of one kind."""
DEFAULT_LAYOUTS = {count: layouts[0] for count, layouts in LAYOUTS.items()}
RELATIONS: dict[tuple[str, str], tuple[str, ...]] = {
    ("left", "right"): (
        "{first} to the left of {second}",
        "{second} to the right of {first}",
        "{first} next to {second}",
    ),
    ("top", "bottom"): ("{first} above {second}", "{second} below {first}", "{second} under {first}"),
}
"""How two objects stand to each other."""


@dataclass(frozen=True)
class Wish:
    """What is asked for: its words, without a verb, and the content that it means."""

    words: str
    content: Content


def wish_for(talk: Talk, modality: str) -> Wish | None:
    """Something to ask for that belongs to the split."""
    wish_by_modality: dict[str, Callable[[Talk], Wish]] = {
        "image": wish_for_scene,
        "audio": wish_for_sound,
        "video": wish_for_clip,
    }
    return talk.first_suiting(lambda: wish_by_modality[modality](talk), lambda wish: wish.content)


def wish_for_scene(talk: Talk) -> Wish:
    """A picture of one to three objects, of any split."""
    stated = _stated(talk, "background")
    background = talk.choose(BACKGROUNDS) if stated else "white"
    where = talk.choose(background_forms(background)) if stated else ""
    count = talk.choose((1, 1, 1, 2, 2, 3))
    if count == 1:
        things, objects = _one(talk, where)
    else:
        things, objects = (_alike if talk.chance(ALIKE_SHARE) else _listed)(talk, count)
        things = f"{things} {where}"
    return Wish(things.strip(), as_read(Scene(objects, background)))


def wish_for_sound(talk: Talk) -> Wish:
    """A sound, of any split."""
    stated = _stated(talk, "pitch", "pattern", "speed")
    source = talk.choose(SOURCES)
    pitch = talk.choose(PITCHES) if "pitch" in stated else "middle"
    pattern = talk.choose(patterns_of(source)) if "pattern" in stated else "single"
    has_speed = "speed" in stated and pattern in TIMED_PATTERNS
    sound = Sound(source, pitch, pattern, talk.choose(SPEEDS) if has_speed else "slow")
    how = talk.choose(SPEED_FORMS[sound.speed]) if has_speed else ""
    high = talk.choose(PITCH_FORMS[pitch]) if "pitch" in stated else ""
    if is_instrument(source) and talk.chance(0.4):
        return Wish(_notes(talk, sound, high, how), sound)
    played = f", {talk.choose(PATTERN_FORMS[pattern])} {how}".rstrip() if "pattern" in stated else ""
    if not high:
        return Wish(f"{_source(talk, source)}{played}", sound)
    if talk.chance(0.5):
        return Wish(f"{_source(talk, source)} at a {pitch} pitch{played}", sound)
    heard = source if is_instrument(source) else f"sound of {source_phrase(source)}"
    return Wish(f"{indefinite(f'{high} {heard}')}{played}", sound)


def wish_for_clip(talk: Talk) -> Wish:
    """A silent video, of any split; what moves and how is always said."""
    stated = _stated(talk, "tint", "background")
    placed = sample_placed(talk.rng)
    tint = placed.tint if "tint" in stated else "natural"
    background = talk.choose(BACKGROUNDS) if "background" in stated else "white"
    motion = talk.choose(MOTIONS)
    words = f"{_thing(talk, replace(placed, tint=tint))} {talk.choose(MOTION_FORMS[motion])}"
    where = f" {talk.choose(background_forms(background))}" if "background" in stated else ""
    return Wish(words + where, Clip(placed.object, tint, background, motion))


def _stated(talk: Talk, *names: str) -> set[str]:
    """The attributes that are said."""
    share = 1.0 if talk.chance(FULL_SHARE) else STATED_SHARE
    return {name for name in names if talk.chance(share)}


def _thing(talk: Talk, placed: Placed, *, has_size: bool = False) -> str:
    """An object with its article, and at times with the colour that it has anyway."""
    own = OBJECTS[placed.object].color
    if own and placed.tint == "natural" and talk.chance(OWN_COLOR_SHARE):
        placed = replace(placed, tint=own)
    size = placed.size if has_size else ""
    return indefinite(say_kind(placed.object, placed.tint, talk.rng, size=size, may_omit=False))


def _one(talk: Talk, where: str) -> tuple[str, tuple[Placed, ...]]:
    stated = _stated(talk, "tint", "place", "size")
    placed = sample_placed(
        talk.rng,
        place=talk.choose(PLACES) if "place" in stated else "center",
        size=talk.choose(SIZES) if "size" in stated else "large",
    )
    placed = placed if "tint" in stated else replace(placed, tint="natural")
    place = talk.choose(PLACE_FORMS[placed.place]) if "place" in stated else ""
    phrases = [place, where] if talk.chance(0.7) else [where, place]
    thing = _thing(talk, placed, has_size="size" in stated)
    return " ".join(filter(None, [thing, *phrases])), (placed,)


def _alike(talk: Talk, count: int) -> tuple[str, tuple[Placed, ...]]:
    """Two red cats, with their places or without."""
    placed = sample_placed(talk.rng, size="small")
    has_places = talk.chance(STATED_SHARE)
    layout = talk.choose(LAYOUTS[count]) if has_places else DEFAULT_LAYOUTS[count]
    words = counted(count, placed.object, placed.tint)
    if has_places:
        words += f" {listed([talk.choose(PLACE_FORMS[place]) for place in layout])}"
    return words, tuple(replace(placed, place=place) for place in layout)


def _listed(talk: Talk, count: int) -> tuple[str, tuple[Placed, ...]]:
    """Several objects, said with their places, by how they stand to each other, or simply one after the other."""
    layout = talk.choose(LAYOUTS[count])
    has_relation = layout in RELATIONS and talk.chance(0.5)
    has_places = not has_relation and talk.chance(0.6)
    if not has_relation and not has_places:
        layout = DEFAULT_LAYOUTS[count]
    elif has_places and talk.chance(0.3):
        layout = tuple(talk.rng.permutation(layout).tolist())
    objects = tuple(sample_placed(talk.rng, place, "small") for place in layout)
    things = [_thing(talk, placed) for placed in objects]
    if has_relation:
        return talk.choose(RELATIONS[layout]).format(first=things[0], second=things[1]), objects
    if has_places:
        things = [
            f"{thing} {talk.choose(PLACE_FORMS[o.place])}" for thing, o in zip(things, objects, strict=True)
        ]
    return listed(things), objects


def _source(talk: Talk, source: str) -> str:
    """A source of sound as people ask for it: ``"a bell"``, ``"the sound of a bell"``."""
    return f"the sound of {source_phrase(source)}" if talk.chance(0.3) else source_phrase(source)


def _notes(talk: Talk, sound: Sound, high: str, how: str) -> str:
    """What is played on an instrument: ``"high notes rising fast on the violin"``."""
    patterns = {"single": f"{high} note", "chord": f"{high} chord", "repeated": f"{high} note"}
    notes = f"{high} notes" if sound.pattern not in patterns else indefinite(patterns[sound.pattern].strip())
    again = (
        "" if sound.pattern in ("single", "chord") else f" {talk.choose(PATTERN_FORMS[sound.pattern])} {how}"
    )
    return f"{notes}{again}".strip() + f" on {talk.choose((f'the {sound.source}', indefinite(sound.source)))}"
