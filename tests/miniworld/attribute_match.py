"""Compare the recognized spec of a medium with the expected one, attribute by attribute."""

from __future__ import annotations

from itertools import permutations

from nextgpt.miniworld.specs import ClipSpec, MediaSpec, ObjectSpec, SceneSpec, SoundSpec

ATTRIBUTES: dict[type, tuple[str, ...]] = {
    SceneSpec: ("object", "tint", "place", "size", "background", "count"),
    SoundSpec: ("source", "pitch", "pattern", "speed"),
    ClipSpec: ("object", "tint", "background", "motion"),
}
"""Compared attributes by spec type. A clip's audio is compared as a sound of its own."""
_OBJECT_ATTRIBUTES = ("object", "tint", "place", "size")


def match_attributes(expected: MediaSpec, actual: MediaSpec) -> dict[str, bool]:
    """Return for each attribute of ``expected`` if ``actual``, of the same type, has it.

    Objects of an image are paired so that as many attributes as possible match. An attribute matches if it
    matches for every expected object; surplus objects affect ``count`` alone.
    """
    assert type(expected) is type(actual), f"a {type(expected).__name__} is compared with a {type(actual).__name__}"
    if not isinstance(expected, SceneSpec) or not isinstance(actual, SceneSpec):
        return {name: getattr(expected, name) == getattr(actual, name) for name in ATTRIBUTES[type(expected)]}
    partners = max(_pairings(expected, actual), key=lambda partners: _agreements(expected, partners))
    matches = {
        name: all(_agrees(name, obj, partner) for obj, partner in zip(expected.objects, partners, strict=True))
        for name in _OBJECT_ATTRIBUTES
    }
    return {
        **matches,
        "background": expected.background == actual.background,
        "count": len(expected.objects) == len(actual.objects),
    }


def _pairings(expected: SceneSpec, actual: SceneSpec) -> list[tuple[ObjectSpec | None, ...]]:
    """List all assignments of recognized objects to expected ones; None stands for a missing object."""
    missing = max(len(expected.objects) - len(actual.objects), 0)
    return list(permutations((*actual.objects, *[None] * missing), len(expected.objects)))


def _agreements(expected: SceneSpec, partners: tuple[ObjectSpec | None, ...]) -> tuple[int, int]:
    """Count matching object names, then all matching attributes."""
    pairs = list(zip(expected.objects, partners, strict=True))
    return (
        sum(_agrees("object", obj, partner) for obj, partner in pairs),
        sum(_agrees(name, obj, partner) for obj, partner in pairs for name in _OBJECT_ATTRIBUTES),
    )


def _agrees(name: str, obj: ObjectSpec, partner: ObjectSpec | None) -> bool:
    return partner is not None and getattr(obj, name) == getattr(partner, name)
