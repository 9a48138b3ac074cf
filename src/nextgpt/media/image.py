"""Read and write pictures with Pillow."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps
import PIL.PngImagePlugin

from nextgpt.errors import MediaError
from nextgpt.media.limits import MediaLimits, refusal
from nextgpt.media.source import OpenSource, open_source
from nextgpt.message import Image, Source

# EPS, WMF and the like start other programs or fonts, so only plain raster formats are opened.
_READ_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "AVIF", "MPO")
_WRITE_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".gif": "GIF", ".bmp": "BMP",
                  ".tif": "TIFF", ".tiff": "TIFF"}
_WRITER = "NExT-GPT"
# All that Pillow's decoders were seen to raise on damaged files.
_DECODE_ERRORS = (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, EOFError, OverflowError,
                  MemoryError, RuntimeError, NotImplementedError, struct.error, zlib.error,
                  PIL.Image.DecompressionBombError)


def read_image(source: Source, *, limits: MediaLimits = MediaLimits()) -> Image:
    """Read a picture as RGB, upright by its EXIF orientation, transparency laid on white, the first of several.

    Raises:
        MediaError: the file is no picture, damaged, cut off, or larger than ``limits``.
    """
    with open_source(source, limits, "image") as opened:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Pillow warns of bombs; the limits refuse them.
                return Image(_decode(opened, limits))
        except MediaError:
            raise
        except _DECODE_ERRORS as error:
            raise refusal(
                opened.name,
                f"is {opened.type.label} that cannot be decoded ({error or type(error).__name__})",
                "a whole picture",
                "Check that it was copied whole, or save it anew.",
            ) from error


def _decode(opened: OpenSource, limits: MediaLimits) -> PIL.Image.Image:
    with PIL.Image.open(opened.stream, formats=_READ_FORMATS) as picture:
        width, height = picture.size
        if width * height > limits.pixels:
            raise refusal(
                opened.name,
                f"has {width} x {height} pixels",
                f"at most {limits.pixels:,} in all",
                "Scale it down, or raise MediaLimits.pixels.",
            )
        picture.load()
        return _as_rgb(PIL.ImageOps.exif_transpose(picture))


def _as_rgb(picture: PIL.Image.Image) -> PIL.Image.Image:
    if picture.mode.startswith("I;16") or picture.mode == "I":
        # Pillow clips 16-bit grey to 255 when it converts; the upper byte is meant.
        return PIL.Image.fromarray((np.asarray(picture).clip(0, 65535) // 256).astype(np.uint8)).convert("RGB")
    if picture.has_transparency_data:
        canvas = PIL.Image.new("RGBA", picture.size, "white")
        return PIL.Image.alpha_composite(canvas, picture.convert("RGBA")).convert("RGB")
    return picture.convert("RGB")


def write_image(image: Image, path: str | Path) -> Path:
    """Write ``image`` in the format of the suffix, PNG where there is none; return the path written.

    Raises:
        MediaError: the suffix is no picture format that can be written.
    """
    path = with_suffix(path, _WRITE_FORMATS, default=".png")
    options: dict[str, object] = {}
    if path.suffix.lower() == ".png":
        options["pnginfo"] = about = PIL.PngImagePlugin.PngInfo()
        about.add_text("Software", _WRITER)
    elif path.suffix.lower() in (".jpg", ".jpeg", ".webp"):
        options["quality"] = 95
    image.image.save(path, _WRITE_FORMATS[path.suffix.lower()], **options)
    return path


def with_suffix(path: str | Path, known: dict[str, str], *, default: str) -> Path:
    """Give ``path`` the default suffix where it has none. Raises :class:`MediaError` on a suffix not in ``known``."""
    path = Path(path)
    if not path.suffix:
        return path.with_suffix(default)
    if path.suffix.lower() not in known:
        raise refusal(path.name, f"asks for the format {path.suffix}", f"one of {', '.join(known)}",
                      "Choose another suffix.")
    return path
