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
from nextgpt.media.limits import Deadline, DeadlineStream, MediaLimits, media_error
from nextgpt.media.open_media import OpenSource, open_source
from nextgpt.media.save_media import WRITER, with_default_suffix, wrap_write_errors
from nextgpt.media.types import Image, MediaSource

# EPS, WMF and the like start other programs or fonts, so only plain raster formats are opened.
_READ_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "AVIF", "MPO")
_WRITE_FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".gif": "GIF",
    ".bmp": "BMP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
# All that Pillow's decoders were seen to raise on damaged files.
_DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    EOFError,
    OverflowError,
    MemoryError,
    RuntimeError,
    NotImplementedError,
    struct.error,
    zlib.error,
)


def read_image(source: MediaSource, *, limits: MediaLimits = MediaLimits()) -> Image:
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
        except PIL.Image.DecompressionBombError as error:  # Pillow's own limit, before it tells the size.
            raise _too_many_pixels(opened.name, "far too many pixels", limits) from error
        except _DECODE_ERRORS as error:
            raise media_error(
                opened.name,
                f"is {opened.type.label} that cannot be decoded ({error or type(error).__name__})",
                "a whole picture",
                "Check that it was copied whole, or save it anew.",
            ) from error


def _decode(opened: OpenSource, limits: MediaLimits) -> PIL.Image.Image:
    stream = DeadlineStream(opened.stream, Deadline(opened.name, limits))
    with PIL.Image.open(stream, formats=_READ_FORMATS) as picture:
        width, height = picture.size
        if width * height > limits.pixels:
            raise _too_many_pixels(opened.name, f"{width} x {height} pixels", limits)
        picture.load()
        return to_rgb(PIL.ImageOps.exif_transpose(picture))


def _too_many_pixels(name: str, size: str, limits: MediaLimits) -> MediaError:
    advice = "Scale it down, or raise MediaLimits.pixels."
    return media_error(name, f"has {size}", f"at most {limits.pixels:,} in all", advice)


def to_rgb(picture: PIL.Image.Image) -> PIL.Image.Image:
    if picture.mode.startswith("I;16") or picture.mode == "I":
        # Pillow clips 16-bit grey to 255 when it converts; the upper byte is meant.
        return PIL.Image.fromarray((np.asarray(picture).clip(0, 65535) // 256).astype(np.uint8)).convert(
            "RGB"
        )
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        canvas = PIL.Image.new("RGB", picture.size, "white")
        canvas.paste(picture, mask=picture.getchannel("A"))
        return canvas
    return picture.convert("RGB")


def write_image(image: Image, path: str | Path) -> Path:
    """Write ``image`` in the format of the suffix, PNG where there is none; return the path written.

    Raises:
        MediaError: the suffix is no picture format that can be written.
    """
    path = with_default_suffix(path, _WRITE_FORMATS, default=".png")
    options: dict[str, object] = {}
    if path.suffix.lower() == ".png":
        options["pnginfo"] = about = PIL.PngImagePlugin.PngInfo()
        about.add_text("Software", WRITER)
    elif path.suffix.lower() in (".jpg", ".jpeg", ".webp"):
        options["quality"] = 95
    with wrap_write_errors(path):
        image.image.save(path, _WRITE_FORMATS[path.suffix.lower()], **options)
    return path


def resize_short_side(
    picture: PIL.Image.Image,
    side_px: int,
    resampling: PIL.Image.Resampling = PIL.Image.Resampling.BICUBIC,
) -> PIL.Image.Image:
    """Scale so that the shorter side measures ``side_px``, keeping the proportions; unchanged where it does."""
    width, height = picture.size
    if min(width, height) == side_px:
        return picture
    # The longer side is cut off to whole pixels, as torchvision's Resize does.
    size = (
        (side_px, int(side_px * height / width))
        if width <= height
        else (int(side_px * width / height), side_px)
    )
    return picture.resize(size, resampling)


def center_crop(picture: PIL.Image.Image, side_px: int) -> PIL.Image.Image:
    """The square of ``side_px`` in the middle of a picture that is at least so large."""
    width, height = picture.size
    left, top = round((width - side_px) / 2), round((height - side_px) / 2)
    return picture.crop((left, top, left + side_px, top + side_px))
