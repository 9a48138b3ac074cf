"""Sprites of all objects, tinted on request.

Colors are premultiplied by alpha, so compositing is ``background * inverse_alpha + premultiplied_rgb``.
``scripts/make_miniworld_sprites.py`` made the sheets in ``assets/``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import numpy as np

from nextgpt.errors import ConfigError, unknown_name_message
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.specs import TINTS

SIZES_PX = {"small": 32, "large": 48}
SHEET_COLUMNS = 16
TINT_COLORS = {
    "red": (225, 25, 30),
    "orange": (255, 130, 0),
    "yellow": (255, 222, 0),
    "green": (30, 160, 55),
    "blue": (30, 85, 230),
    "purple": (130, 40, 185),
    "pink": (255, 95, 175),
}
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True, eq=False)
class Sprite:
    """An object ready to composite over a background."""

    premultiplied_rgb: np.ndarray
    """float32 (H, W, 3), 0 to 255: color times alpha."""
    inverse_alpha: np.ndarray
    """float32 (H, W, 1), 0 to 1: fraction of the background that stays visible."""


@dataclass(frozen=True)
class Detail:
    """Resolution of renderings."""

    scale: int = 1
    """Pixels per pixel of the small world, in both directions."""
    sheets: Path | None = None
    """Folder with sheets of this scale; ``None`` enlarges the embedded ones."""


STANDARD = Detail()


@cache
def sprite(name: str, tint: str = "natural", size: str = "large", detail: Detail = STANDARD) -> Sprite:
    """Return an object's sprite. Raises :class:`~nextgpt.errors.ConfigError` for unknown names."""
    for kind, value, accepted in (("Object", name, OBJECTS), ("Tint", tint, TINTS), ("Size", size, SIZES_PX)):
        if value not in accepted:
            raise ConfigError(unknown_name_message(kind, value, accepted))
    pixels = _sheet(size, detail)[list(OBJECTS).index(name)]
    color, alpha = pixels[..., :3], pixels[..., 3:] / 255
    if tint != "natural":
        color = _tinted(color, alpha, TINT_COLORS[tint])
    return Sprite(premultiplied_rgb=color * alpha, inverse_alpha=1 - alpha)


def _tinted(color: np.ndarray, alpha: np.ndarray, tint: tuple[int, int, int]) -> np.ndarray:
    """Recolor with shades of ``tint``, keeping the drawing's shading.

    The mean brightness is moved to the middle first, so that a white ghost and a black hat both become
    clearly red.
    """
    shade = np.clip(color @ _LUMINANCE / 255, 0.02, 0.98)[..., None]
    mean = float((shade * alpha).sum() / alpha.sum())
    shade = shade ** (np.log(0.5) / np.log(mean))
    pure = np.array(tint, np.float32)
    dark, bright = 0.2 * pure, 0.55 * pure + 0.45 * 255
    return np.where(shade < 0.5, dark + (pure - dark) * 2 * shade, pure + (bright - pure) * (2 * shade - 1))


@cache
def _sheet(size: str, detail: Detail) -> np.ndarray:
    """Load all natural sprites of one size, float32 (objects, H, W, 4), in table order."""
    if detail.scale == 1:
        return _read_sheet(resources.files("nextgpt.miniworld") / "assets" / sheet_name(size), SIZES_PX[size])
    side = SIZES_PX[size] * detail.scale
    if detail.sheets is None:
        return np.stack([_enlarged(cell, side) for cell in _sheet(size, STANDARD)])
    path = detail.sheets / sheet_name(size, detail.scale)
    if not path.exists():
        raise ConfigError(
            f"{path} is missing. Make it with: python scripts/make_miniworld_sprites.py --scale {detail.scale} "
            f"--out {detail.sheets}"
        )
    return _read_sheet(path, side)


def sheet_name(size: str, scale: int = 1) -> str:
    """Return the file name of a sheet."""
    return f"sprites-{size}.png" if scale == 1 else f"sprites-{size}-x{scale}.png"


def _read_sheet(path: Traversable, side: int) -> np.ndarray:
    from PIL import Image

    with path.open("rb") as file:
        image = Image.open(file)
        image.load()
    assert image.info["names"] == ", ".join(OBJECTS), (
        "sprite sheets do not match OBJECTS: run scripts/make_miniworld_sprites.py"
    )
    cells = np.asarray(image, np.float32).reshape(-1, side, SHEET_COLUMNS, side, 4).swapaxes(1, 2)
    return cells.reshape(-1, side, side, 4)[: len(OBJECTS)]


def _enlarged(cell: np.ndarray, side: int) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.fromarray(cell.astype(np.uint8)).resize((side, side), Image.Resampling.BICUBIC), np.float32)
