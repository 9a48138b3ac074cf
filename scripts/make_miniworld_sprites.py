"""Make the sprites of the small world: one sheet a size, drawn from Noto Color Emoji and, for shapes, by formula.

Needs the font (Debian package ``fonts-noto-color-emoji``) once; the sheets ship with the package. Run from the
repository: ``python scripts/make_miniworld_sprites.py``. With ``--scale 3 --out DIR`` it makes larger sheets, the
targets of the decoders (recipes/nano/8-image-decoder.yaml); they are not part of the package. ``--font`` names the
font's file where it is not installed.
"""

from __future__ import annotations

from math import cos, pi, sin
from pathlib import Path
from typing import Annotated

import typer
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont, PngImagePlugin

from nextgpt.miniworld import sprites
from nextgpt.miniworld.objects import OBJECTS, ObjectKind

FONT = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
STRIKE_PX = 109
"""The only size at which the font holds its bitmaps."""
CANVAS_PX = 480
ASSETS = Path(sprites.__file__).parent / "assets"
SHAPE_LIGHT, SHAPE_DARK = (176, 176, 184), (96, 96, 104)


def main(scale: int = 1, out: Path = ASSETS, font_file: Annotated[Path, typer.Option("--font")] = Path(FONT)) -> None:
    """Write one sheet for each size."""
    font = ImageFont.truetype(font_file, STRIKE_PX)
    out.mkdir(parents=True, exist_ok=True)
    drawings = [draw_emoji(kind, font) if kind.emoji else draw_shape(kind.name) for kind in OBJECTS.values()]
    for size, size_px in sprites.SIZES_PX.items():
        cells = [fit(drawing, size_px, scale) for drawing in drawings]
        write_sheet(cells, out / sprites.sheet_name(size, scale), size_px * scale)


def draw_emoji(kind: ObjectKind, font: ImageFont.FreeTypeFont) -> Image.Image:
    """The glyph of ``kind``, cropped to what it covers."""
    canvas = Image.new("RGBA", (180, 180))
    ImageDraw.Draw(canvas).text((20, 20), kind.emoji, font=font, embedded_color=True)
    box = canvas.getbbox()
    if box is None:
        raise SystemExit(f"{FONT} has no glyph for {kind.name} ({kind.emoji}). Install a newer Noto Color Emoji.")
    return canvas.crop(box)


def draw_shape(name: str) -> Image.Image:
    """A gray shape, lit from the upper left, so that turning it shows."""
    mask = Image.new("L", (CANVAS_PX, CANVAS_PX))
    draw = ImageDraw.Draw(mask)
    if name == "circle":
        draw.ellipse((0, 0, CANVAS_PX - 1, CANVAS_PX - 1), fill=255)
    else:
        draw.polygon([(x * CANVAS_PX, y * CANVAS_PX) for x, y in outline(name)], fill=255)
    shade = Image.linear_gradient("L").rotate(45, Image.Resampling.BICUBIC, expand=True)
    margin = shade.width // 4
    shade = shade.crop((margin, margin, shade.width - margin, shade.height - margin)).resize(mask.size)
    light, dark = (Image.new("RGB", mask.size, color) for color in (SHAPE_LIGHT, SHAPE_DARK))
    shape = Image.composite(dark, light, shade)
    shape.putalpha(mask)
    return shape.crop(shape.getbbox())


def outline(name: str) -> list[tuple[float, float]]:
    """Corners of a shape in the unit square."""
    if name == "square":
        return [(0.07, 0.07), (0.93, 0.07), (0.93, 0.93), (0.07, 0.93)]
    if name == "triangle":
        return [(0.5, 0.04), (1.0, 0.94), (0.0, 0.94)]
    if name == "diamond":
        return [(0.5, 0.0), (0.86, 0.5), (0.5, 1.0), (0.14, 0.5)]
    if name == "star":
        points = [(0.5 if i % 2 == 0 else 0.21, i * pi / 5) for i in range(10)]
        return [(0.5 + radius * sin(angle), 0.53 - radius * cos(angle)) for radius, angle in points]
    turns = [i * 2 * pi / 200 for i in range(200)]  # heart, the well-known parametric curve
    return [
        (0.5 + sin(t) ** 3 * 0.5, 0.45 - (13 * cos(t) - 5 * cos(2 * t) - 2 * cos(3 * t) - cos(4 * t)) / 34)
        for t in turns
    ]


def fit(drawing: Image.Image, size_px: int, times: int) -> Image.Image:
    """``drawing`` on a square of ``size_px`` with a soft dark edge, which keeps white things visible on white.

    All lengths are multiplied by ``times``.
    """
    inner = (size_px - 4) * times
    size_px *= times
    scale = inner / max(drawing.size)
    small = drawing.resize(tuple(max(1, round(side * scale)) for side in drawing.size), Image.Resampling.LANCZOS)
    sprite = Image.new("RGBA", (size_px, size_px))
    sprite.paste(small, ((size_px - small.width) // 2, (size_px - small.height) // 2))
    edge = sprite.getchannel("A").filter(ImageFilter.MaxFilter(2 * times + 1))
    edge = edge.filter(ImageFilter.GaussianBlur(0.8 * times))
    halo = Image.new("RGBA", sprite.size, (30, 30, 40, 0))
    halo.putalpha(ImageChops.multiply(edge, Image.new("L", sprite.size, 115)))
    return Image.alpha_composite(halo, sprite)


def write_sheet(cells: list[Image.Image], path: Path, size_px: int) -> None:
    """All sprites in the order of the table, whose names the file carries."""
    columns = sprites.SHEET_COLUMNS
    rows = -(-len(cells) // columns)
    sheet = Image.new("RGBA", (columns * size_px, rows * size_px))
    for index, cell in enumerate(cells):
        sheet.paste(cell, (index % columns * size_px, index // columns * size_px))
    info = PngImagePlugin.PngInfo()
    info.add_text("names", ", ".join(OBJECTS))
    info.add_text("Copyright", "Noto Color Emoji, Google, SIL Open Font License 1.1")
    sheet.save(path, pnginfo=info, optimize=True)


if __name__ == "__main__":
    typer.run(main)
