"""Attribute by attribute, whether what is seen is what was meant."""

from __future__ import annotations

from itertools import permutations

from nextgpt.miniworld.specs import ClipSpec, MediaSpec, ObjectSpec, SceneSpec, SoundSpec

ATTRIBUTES: dict[type, tuple[str, ...]] = {
    SceneSpec: ("object", "tint", "place", "size", "background", "count"),
    SoundSpec: ("source", "pitch", "pattern", "speed"),
    ClipSpec: ("object", "tint", "background", "motion"),
}
"""What is compared of each kind of content. A clip's sound is compared as the sound that it is."""
_OBJECT_ATTRIBUTES = ("object", "tint", "place", "size")


def match_attributes(expected: MediaSpec, seen: MediaSpec) -> dict[str, bool]:
    """Whether each attribute of ``expected`` is found in ``seen``, which must be of the same kind.

    Objects of a picture are matched so that as much as possible agrees; an attribute holds where it holds for every
    object that was expected. Objects too many show in ``count`` alone.
    """
    assert type(expected) is type(seen), (
        f"a {type(expected).__name__} is compared with a {type(seen).__name__}"
    )
    if not isinstance(expected, SceneSpec) or not isinstance(seen, SceneSpec):
        return {name: getattr(expected, name) == getattr(seen, name) for name in ATTRIBUTES[type(expected)]}
    partners = max(_pairings(expected, seen), key=lambda partners: _agreements(expected, partners))
    found = {
        name: all(_agrees(name, one, other) for one, other in zip(expected.objects, partners, strict=True))
        for name in _OBJECT_ATTRIBUTES
    }
    return {
        **found,
        "background": expected.background == seen.background,
        "count": len(expected.objects) == len(seen.objects),
    }


def _pairings(expected: SceneSpec, seen: SceneSpec) -> list[tuple[ObjectSpec | None, ...]]:
    """Every way to give each expected object one that is seen, or None where there are too few."""
    missing = max(len(expected.objects) - len(seen.objects), 0)
    return list(permutations((*seen.objects, *[None] * missing), len(expected.objects)))


def _agreements(expected: SceneSpec, partners: tuple[ObjectSpec | None, ...]) -> tuple[int, int]:
    """How many attributes agree, names of objects first."""
    pairs = list(zip(expected.objects, partners, strict=True))
    return (
        sum(_agrees("object", one, other) for one, other in pairs),
        sum(_agrees(name, one, other) for one, other in pairs for name in _OBJECT_ATTRIBUTES),
    )


def _agrees(name: str, one: ObjectSpec, other: ObjectSpec | None) -> bool:
    return other is not None and getattr(one, name) == getattr(other, name)
