"""Noun phrases in an author's words: objects with their attributes, sources of sound, motions and backgrounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nextgpt.miniworld.language.lexicon import (
    MOTION_FORMS,
    NUMBERS,
    PATTERN_FORMS,
    PITCH_FORMS,
    PLACE_FORMS,
    SIZE_FORMS,
    SPEED_FORMS,
    article,
    background_forms,
    indefinite,
    is_instrument,
    noun,
    plural,
    source_phrase,
)
from nextgpt.miniworld.language.phrasings.author import everyday_nouns, shared_phrasings
from nextgpt.miniworld.language.phrasings.filling import fill
from nextgpt.miniworld.language.phrasings.state import PhrasedState
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.specs import ObjectSpec

SYNONYM_RATE = 0.4
EVERYDAY_NOUN_RATE = 0.5
"""Probability that a synonym is one of :func:`.everyday_nouns` although the author has some; 0 in evaluation."""
COLOR_SYNONYM_RATE = 0.2
OWN_COLOR_RATE = 0.2
"""Probability that the natural color of an object is stated, as in a red apple."""
DIGIT_RATE = 0.35
DECORATION_RATE = 0.07
"""Probability of an adjective that changes nothing: a cute cat."""
OWN_VERB_RATE = 0.35
"""Probability that an object moves by a verb of its own if it has one: a fish swims to the left."""

_SINGULAR_ENDINGS = ("ss", "us", "is", "as")
"""Endings of singular nouns in ``s``."""
_MASS_WORDS = frozenset({
    "bread", "cheese", "corn", "broccoli", "candy", "lightning", "fire", "toast", "maize", "sweetcorn", "cheddar",
    "thunder", "sunshine", "mail", "ice cream", "soft serve", "confectionery", "cutlery", "rain", "eyewear", "cattle",
    "gelato", "post", "brie", "candyfloss", "sourdough", "gouda", "edam", "emmental", "parmesan", "icecream",
    "ice-cream", "lightening", "broc", "brocc", "broccolini",
})  # fmt: skip
_UNIQUE = ("sun", "moon")


def author_word(state: PhrasedState, attribute: str, value: str, rate: float, common: Sequence[str]) -> str:
    """Return the author's word for a value with probability ``rate``, or one of the ``common`` words."""
    own = getattr(state.author.synonyms, attribute).get(value, ())
    return state.choice(own if own and state.bernoulli(rate) else common)


def sample_noun(state: PhrasedState, name: str) -> tuple[str, bool]:
    """Return a noun for an object, and whether it takes an article."""
    synonyms = _synonyms(state, name)
    if synonyms and state.bernoulli(SYNONYM_RATE):
        words = state.choice(synonyms)
        return words, _takes_article(words)
    if noun(name) != name:
        return (noun(name), True) if state.bernoulli(0.4) else (name, False)
    return name, name != "fire"


def bare_noun(state: PhrasedState, name: str) -> str:
    """Return a noun that can follow ``the`` and take a singular verb."""
    synonyms = [words for words in _synonyms(state, name) if _takes_article(words)]
    return state.choice(synonyms) if synonyms and state.bernoulli(SYNONYM_RATE / 2) else noun(name)


def _synonyms(state: PhrasedState, name: str) -> tuple[str, ...]:
    own = state.author.synonyms.nouns.get(name, ())
    if state.any_split or (own and not state.bernoulli(EVERYDAY_NOUN_RATE)):
        return own
    return everyday_nouns().get(name, own)


def plural_noun(name: str) -> str:
    """Return several of an object: ``"cats"``, ``"pairs of scissors"``, ``"grapes"``."""
    return name if name in ("grapes", "cherries", "french fries") else plural(name)


def _takes_article(words: str) -> bool:
    head = words.split(" of ")[0].split()[-1].lower()
    if " of " in words:
        return not head.endswith("s")
    if words.lower() in _MASS_WORDS or head in _MASS_WORDS:
        return False
    return not (head.endswith("s") and not head.endswith(_SINGULAR_ENDINGS))


def color_word(state: PhrasedState, color: str) -> str:
    """Return a word for a color."""
    return author_word(state, "colors", color, COLOR_SYNONYM_RATE, (color,))


def stated_color(state: PhrasedState, obj: ObjectSpec) -> str:
    """Return the color that a noun phrase states, or nothing: the natural color is stated at times."""
    if obj.tint != "natural":
        return color_word(state, obj.tint)
    own = OBJECTS[obj.object].color
    if own is None:
        looks = [look for look, names in shared_phrasings()["natural_looks"].items() if obj.object in names]
        return state.choice(looks) if looks and state.bernoulli(OWN_COLOR_RATE) else ""
    if not state.bernoulli(OWN_COLOR_RATE):
        return ""
    state.own_colors.add(obj.object)
    return color_word(state, own)


def size_word(state: PhrasedState, size: str) -> str:
    """Return an adjective for a size."""
    own = [words for words in state.author.synonyms.sizes.get(size, ()) if len(words.split()) <= 2]
    return state.choice(own if own and state.bernoulli(0.5) else SIZE_FORMS[size])


def object_phrase(state: PhrasedState, obj: ObjectSpec, size: str = "", *, may_color: bool = True) -> str:
    """Return an object with its article, color and ``size``: ``"a small red cat"``, ``"purple grapes"``."""
    words, takes_article = sample_noun(state, obj.object)
    color = stated_color(state, obj) if may_color else ""
    adjectives, after = [size_word(state, size)] if size else [], ""
    if state.bernoulli(DECORATION_RATE):
        adjectives.append(state.choice(shared_phrasings()["decorations"][OBJECTS[obj.object].category]))
    if color and state.bernoulli(0.88):
        if " of " in words and takes_article and obj.object in words:
            words = words.replace(" of ", f" of {color} ", 1)
        else:
            adjectives.append(color)
    elif color:
        after = state.choice((f" in {color}", f" that is {color}", f" coloured {color}"))
        after = after if takes_article else f" in {color}"
    phrase = " ".join([*adjectives, words])
    if not takes_article:
        return f"{'some ' if state.bernoulli(0.3) else ''}{phrase}{after}"
    is_unique = obj.object in _UNIQUE and not adjectives and state.bernoulli(0.7)
    return f"{'the' if is_unique else article(phrase)} {phrase}{after}"


def counted_phrase(state: PhrasedState, obj: ObjectSpec, count: int) -> str:
    """Return several identical objects: ``"two red dogs"``, ``"a couple of dogs"``."""
    color = stated_color(state, obj)
    number = str(count) if state.bernoulli(DIGIT_RATE) else NUMBERS[count]
    many = plural(obj.object)
    if count == 2 and " of " not in many and state.bernoulli(0.12):
        number = state.choice(("a couple of", "a pair of"))
    if state.bernoulli(DECORATION_RATE):
        # Several objects are always small.
        number = f"{number} {size_word(state, 'small')}"
    if color and " of " in many:
        return f"{number} {many.replace(' of ', f' of {color} ', 1)}"
    return " ".join(filter(None, (number, color, many)))


def place_phrase(state: PhrasedState, place: str) -> str:
    """Return a phrase for a place: ``"in the top left corner"``."""
    return author_word(state, "places", place, 0.6, PLACE_FORMS[place])


def background_phrase(state: PhrasedState, background: str) -> str:
    """Return a phrase for a background: ``"on a blue background"``, ``"by the sea"``."""
    if background in _SCENERY_NOUNS:
        return author_word(state, "backgrounds", background, 0.6, background_forms(background))
    color = _background_color(state, background)
    plain = state.author.synonyms.plain_backgrounds
    if plain and state.bernoulli(0.6):
        return fill(state.rng, state.choice(plain), {"c": color})
    return f"{state.choice(('on', 'with'))} {article(color)} {color} background"


def _background_color(state: PhrasedState, background: str) -> str:
    return state.choice(("gray", "grey")) if background == "gray" else background


def background_word(state: PhrasedState, background: str) -> str:
    """Return a word for a background that can stand as a noun: ``"blue"``, ``"the sea"``."""
    nouns = _SCENERY_NOUNS.get(background, ())
    return state.choice(nouns) if nouns and state.bernoulli(0.3) else _background_color(state, background)


def background_values(state: PhrasedState, background: str) -> dict[str, str]:
    """Return the values of the slots ``background`` and ``bg``."""
    return {"background": background_phrase(state, background), "bg": background_word(state, background)}


_SCENERY_NOUNS = {
    "grass": ("a meadow", "green grass"),
    "sea": ("the sea", "the ocean"),
    "night": ("a night sky", "nighttime"),
    "sunset": ("a sunset", "the sunset"),
}


def motion_forms(state: PhrasedState, motion: str, name: str = "") -> tuple[str, str, str]:
    """Return participle, infinitive and third person of a motion, at times of a verb of the object ``name``."""
    verbs = [
        (forms["ing"], verb, forms["s"])
        for verb, forms in shared_phrasings()["verbs"].items()
        if name in forms["objects"] and motion in forms["directions"]
    ]
    if verbs and state.bernoulli(OWN_VERB_RATE):
        verb = state.choice(verbs)
        where = state.choice(_DIRECTIONS[motion]) if verb[1] not in _DIRECTED_VERBS else ""
        ing, inf, third = (f"{form} {where}".strip() for form in verb)
        return ing, inf, third
    own = state.author.synonyms.motion.get(motion, ())
    return state.choice(own if own and state.bernoulli(0.65) else BASE_MOTIONS[motion])


_DIRECTIONS = {
    "left": ("left", "to the left", "to the left"),
    "right": ("right", "to the right", "to the right"),
    "up": ("up", "upwards"),
    "down": ("down", "downwards"),
}
_DIRECTED_VERBS = ("fall", "rise", "set", "land", "take off")
"""Verbs that state their direction themselves."""


def _verb(ing: str, infinitive: str, third: str, *endings: str) -> tuple[tuple[str, str, str], ...]:
    """Return the three forms of a verb with each of ``endings``."""
    forms = (ing, infinitive, third)
    return tuple((f"{a}{end}", f"{b}{end}", f"{c}{end}") for a, b, c in [forms] for end in endings or ("",))


BASE_MOTIONS: dict[str, tuple[tuple[str, str, str], ...]] = {
    **{
        side: (
            *_verb("moving", "move", "moves", f" {side}", f" to the {side}"),
            *_verb("going", "go", "goes", f" {side}", f" to the {side}"),
        )
        for side in ("left", "right")
    },
    **{
        way: (
            *_verb("moving", "move", "moves", f" {way}"),
            *_verb("going", "go", "goes", f" {way}"),
            *_verb("moving", "move", "moves", f" {way}wards"),
        )
        for way in ("up", "down")
    },
    "grow": (*_verb("growing", "grow", "grows"), *_verb("getting", "get", "gets", " bigger", " larger")),
    "shrink": (
        *_verb("shrinking", "shrink", "shrinks"),
        *_verb("getting", "get", "gets", " smaller"),
        *_verb("becoming", "become", "becomes", " smaller"),
    ),
    "spin": (
        *_verb("spinning", "spin", "spins"),
        *_verb("turning", "turn", "turns", " around"),
        *_verb("rotating", "rotate", "rotates"),
    ),
    "bounce": (
        *_verb("bouncing", "bounce", "bounces"),
        *_verb("jumping", "jump", "jumps", " up and down"),
        *_verb("bouncing", "bounce", "bounces", " up and down"),
    ),
    "appear": (*_verb("appearing", "appear", "appears"), *_verb("fading", "fade", "fades", " in")),
    "disappear": (
        *_verb("disappearing", "disappear", "disappears"),
        *_verb("fading", "fade", "fades", " out"),
        *_verb("vanishing", "vanish", "vanishes"),
    ),
}
"""Common verbs of each motion, in three forms."""
assert BASE_MOTIONS.keys() == MOTION_FORMS.keys()


def source_noun_phrase(state: PhrasedState, source: str) -> str:
    """Return a source of sound: ``"a flute"``, ``"the sound of a bell"``, an author's words."""
    own = state.author.synonyms.sources.get(source, ())
    if own and state.bernoulli(0.4):
        return state.choice(own)
    one = indefinite(source)
    base = state.choice(BASE_SOURCES.get(source) or (one, one, one, f"the {source}"))
    return f"the sound of {base}" if state.bernoulli(0.2) and not base.startswith("the sound") else base


BASE_SOURCES: dict[str, tuple[str, ...]] = {
    "drum": ("a drum", "a drum", "drums", "the drums"),
    "bagpipe": ("a bagpipe", "bagpipes", "the bagpipes"),
    "bell": ("a bell", "a bell", "a bell ringing"),
    "bird": ("a bird", "a bird", "a bird singing"),
    "telephone": ("a telephone", "a phone", "a telephone ringing"),
    "helicopter": ("a helicopter", "a helicopter"),
    "applause": ("applause", "some applause", "clapping"),
    "seashore": ("the seashore", "the sea", "waves"),
    "gunshot": ("a gunshot", "a gunshot", "a gun shot"),
    "choir": ("a choir", "the choir", "a choir singing"),
}


def pitch_word(state: PhrasedState, pitch: str) -> str:
    """Return an adjective for a pitch."""
    return author_word(state, "pitch", pitch, 0.45, PITCH_FORMS[pitch])


def pattern_words(state: PhrasedState, pattern: str) -> str:
    """Return a phrase for the pattern of a sound: ``"three times"``, ``"going up"``."""
    return author_word(state, "pattern", pattern, 0.6, PATTERN_FORMS[pattern])


def speed_word(state: PhrasedState, speed: str) -> str:
    """Return an adverb for a speed."""
    return author_word(state, "speed", speed, 0.5, SPEED_FORMS[speed])


def sound_phrase(state: PhrasedState, source: str, pitch: str, pattern: str, speed: str) -> str:
    """Return a sound with the attributes that are not empty: ``"a high violin note, repeated fast"``."""
    how = (pattern and pattern_words(state, pattern), speed and speed_word(state, speed))
    ending = " ".join(filter(None, how))
    ending = f"{',' if ending and state.bernoulli(0.35) else ''} {ending}"
    if not pitch:
        if is_instrument(source) and pattern in ("chord", "single") and state.bernoulli(0.3):
            note = "chord" if pattern == "chord" else "single note"
            return f"a {note} on {state.choice((f'the {source}', indefinite(source)))}"
        return f"{source_noun_phrase(state, source)}{ending}".strip()
    adjective = pitch_word(state, pitch)
    if state.bernoulli(DECORATION_RATE):
        adjective = f"{state.choice(shared_phrasings()['decorations']['sound'])} {adjective}"
    kind = int(state.rng.integers(4))
    if kind == 2:
        return f"{source_noun_phrase(state, source)} at a {PITCH_FORMS[pitch][0]} pitch{ending}".strip()
    if not is_instrument(source):
        name = f"sound of {source_phrase(source)}"
    elif kind == 0:
        name = f"note on {state.choice((f'the {source}', indefinite(source)))}"
    else:
        name = f"{source}{state.choice((' note', ' sound', '')) if kind == 1 else ''}"
    return f"{article(adjective)} {adjective} {name}{ending}".strip()


def tinted(obj: ObjectSpec, tint: str) -> ObjectSpec:
    """Return ``obj`` in a color; its own color is its natural tint."""
    return replace(obj, tint="natural" if OBJECTS[obj.object].color == tint else tint)
