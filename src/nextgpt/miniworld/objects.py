"""Objects of images and videos with their categories, colors, sounds, synonyms and facts.

One row of ``assets/objects.json`` per kind. The names are the words of captions; never change them, as trained models
depend on them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources

from nextgpt.miniworld.specs import TINTS

CATEGORIES = ("animal", "food", "vehicle", "instrument", "thing", "nature", "shape")


@dataclass(frozen=True)
class ObjectKind:
    """A kind of object."""

    name: str
    emoji: str
    """Character that Noto Color Emoji draws; empty for shapes, which are drawn by formula."""
    category: str
    color: str | None = None
    """Natural color if it equals a tint; the object is never tinted in that color."""
    sound: str | None = None
    """Sound source that the object makes, if the small world can play it."""
    synonyms: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    """Short true sentences."""

    @property
    def tints(self) -> tuple[str, ...]:
        """Return the tints that the object can have."""
        return tuple(tint for tint in TINTS if tint != self.color)


def _load_objects() -> dict[str, ObjectKind]:
    path = resources.files("nextgpt.miniworld") / "assets" / "objects.json"
    kinds = (
        ObjectKind(**{name: tuple(value) if isinstance(value, list) else value for name, value in row.items()})
        for row in json.loads(path.read_text(encoding="utf-8"))
    )
    return {kind.name: kind for kind in kinds}


OBJECTS: dict[str, ObjectKind] = _load_objects()
"""All kinds by name, in a fixed order."""
