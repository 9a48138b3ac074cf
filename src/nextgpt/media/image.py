"""Read, write and resize images with Pillow."""

from __future__ import annotations

import io
import math
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps
import PIL.PngImagePlugin

from nextgpt.errors import MediaError
from nextgpt.media.image_repair import REPAIRS, png_chunks
from nextgpt.media.limits import Deadline, DeadlineStream, MediaLimits, media_error
from nextgpt.media.open_media import OpenSource, open_source
from nextgpt.media.save_media import WRITER, with_default_suffix, wrap_write_errors
from nextgpt.media.types import Image, MediaSource

MAX_ASPECT_RATIO = 16
"""Longer images are cropped before they are scaled: 1 x 300,000 pixels would become 224 x 67 million."""
_PNG_TEXTS = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")
# Only plain raster formats: EPS, WMF and others start programs or load fonts.
_READ_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "AVIF")  # MPO is read as JPEG
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
# Pillow averages pixels to this multiple of the size before it filters; no difference is visible.
_REDUCING_GAP = 3.0
_GREY_BITS = (8, 10, 12, 14, 16)
# Raised by Pillow's decoders on damaged files.
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


def read_image(source: MediaSource, *, limits: MediaLimits | None = None) -> Image:
    """Read an image as RGB, rotated by its EXIF orientation, on white if transparent; the first frame if animated.

    Raises:
        MediaError: The file is no image, damaged before its first row of pixels, or larger than ``limits``.
    """
    limits = limits or MediaLimits.default()
    with open_source(source, limits, "image") as opened:
        deadline = Deadline(opened.name, limits)
        content = opened.stream.read()
        try:
            return Image(_decode(content, opened, deadline, limits))
        except MediaError:
            raise
        except PIL.Image.DecompressionBombError as error:  # Pillow's own limit, before the size is known
            raise _too_many_pixels(opened.name, "far too many pixels", limits) from error
        except _DECODE_ERRORS as error:
            if (repaired := _read_repaired(content, opened, deadline, limits)) is not None:
                return repaired
            reason = str(error) or type(error).__name__
            if isinstance(error, PIL.UnidentifiedImageError):  # its text names an object of Python
                reason = "its structure is damaged"
            raise media_error(
                opened.name,
                f"is {opened.type.label} that cannot be decoded ({reason})",
                "a complete image",
                "Check that it was copied whole, or save it anew.",
            ) from error


def _read_repaired(content: bytes, opened: OpenSource, deadline: Deadline, limits: MediaLimits) -> Image | None:
    """Read what is left of a damaged image; ``None`` if nothing is."""
    if opened.type.name not in REPAIRS:
        return None
    try:
        repaired, damage = REPAIRS[opened.type.name](content, limits.pixels)
        return Image(_decode(repaired, opened, deadline, limits)).note_damage(damage)
    except MediaError:
        raise
    except _DECODE_ERRORS:
        return None


def _decode(content: bytes, opened: OpenSource, deadline: Deadline, limits: MediaLimits) -> PIL.Image.Image:
    if opened.type.name == "png":
        content = _without_texts(content)
    stream = DeadlineStream(io.BytesIO(content), deadline)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of decompression bombs; the limits refuse them
        with PIL.Image.open(stream, formats=_READ_FORMATS) as picture:
            width, height = picture.size
            if width * height > limits.pixels:
                raise _too_many_pixels(opened.name, f"{width} x {height} pixels", limits)
            picture.load()
            return _scale_to(to_rgb(PIL.ImageOps.exif_transpose(picture)), limits.image_pixels)


def _scale_to(picture: PIL.Image.Image, max_pixels: int) -> PIL.Image.Image:
    """Scale an image down to at most ``max_pixels``, and keep its proportions."""
    scale = math.sqrt(max_pixels / (picture.width * picture.height))
    if scale >= 1:
        return picture
    size = max(1, int(picture.width * scale)), max(1, int(picture.height * scale))
    return picture.resize(size, PIL.Image.Resampling.BICUBIC, reducing_gap=_REDUCING_GAP)


def _without_texts(content: bytes) -> bytes:
    """Return a PNG without texts and color profile, which Pillow refuses if they are large (as some editors write)."""
    return content[:8] + b"".join(chunk for name, chunk in png_chunks(content) if name not in _PNG_TEXTS)


def _too_many_pixels(name: str, size: str, limits: MediaLimits) -> MediaError:
    advice = "Scale it down, or raise the limit pixels."
    return media_error(name, f"has {size}", f"at most {limits.pixels:,} in all", advice)


def to_rgb(picture: PIL.Image.Image) -> PIL.Image.Image:
    """Convert to RGB, on white if transparent; grey of more than 8 bits by :func:`_to_grey`."""
    if picture.mode.startswith("I;16") or picture.mode in ("I", "F"):
        return PIL.Image.fromarray(_to_grey(np.asarray(picture), picture.mode)).convert("RGB")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        canvas = PIL.Image.new("RGB", picture.size, "white")
        canvas.paste(picture, mask=picture.getchannel("A"))
        return canvas
    return picture.convert("RGB")


def _to_grey(values: np.ndarray, mode: str) -> np.ndarray:
    """Scale grey values to uint8.

    Integers of 0 to 65,535 have 8, 10, 12, 14 or 16 bits, as few as their maximum needs: cameras store 10, 12 and 14
    bits in 16. Other integers and floats have no fixed range: floats of 0 to 1 and 0 to 255 are taken as such, anything
    else is stretched from its minimum to its maximum.
    """
    values = np.nan_to_num(values.astype(np.float64), posinf=0.0, neginf=0.0)
    low, high = float(values.min(initial=0.0)), float(values.max(initial=0.0))
    is_integer = mode != "F"
    if is_integer and 0 <= low <= high <= 65_535:
        bits = next(bits for bits in _GREY_BITS if high < 2**bits)
        return (values // 2 ** (bits - 8)).astype(np.uint8)
    if not is_integer and 0 <= low <= high <= 1:
        return (values * 255).round().astype(np.uint8)
    if not is_integer and 0 <= low <= high <= 255:
        return values.round().astype(np.uint8)
    low = float(values.min())
    return ((values - low) * (255 / max(high - low, 1e-12))).round().astype(np.uint8)


def write_image(image: Image, path: str | Path) -> Path:
    """Write an image in the format of the suffix, PNG if there is none; return the path.

    Raises:
        MediaError: The suffix is no image format that can be written.
    """
    path = with_default_suffix(path, _WRITE_FORMATS, default=".png")
    options: dict[str, object] = {}
    if path.suffix.lower() == ".png":
        options["pnginfo"] = metadata = PIL.PngImagePlugin.PngInfo()
        metadata.add_text("Software", WRITER)
    elif path.suffix.lower() in (".jpg", ".jpeg", ".webp"):
        options["quality"] = 95
    with wrap_write_errors(path):
        image.image.save(path, _WRITE_FORMATS[path.suffix.lower()], **options)
    return path


def resize_short_side(
    image: PIL.Image.Image, side_px: int, resampling: PIL.Image.Resampling = PIL.Image.Resampling.BICUBIC
) -> PIL.Image.Image:
    """Scale the shorter side to ``side_px`` and keep the proportions.

    Images longer than :data:`MAX_ASPECT_RATIO` are cropped to their centre first, so that the cost is bounded.
    """
    image = _crop_to_aspect_ratio(image)
    width, height = image.size
    if min(width, height) == side_px:
        return image
    # The longer side is truncated to whole pixels, as torchvision's Resize does.
    size = (side_px, int(side_px * height / width)) if width <= height else (int(side_px * width / height), side_px)
    return image.resize(size, resampling)


def _crop_to_aspect_ratio(image: PIL.Image.Image) -> PIL.Image.Image:
    limit = MAX_ASPECT_RATIO * min(image.size)
    width, height = min(image.width, limit), min(image.height, limit)
    if (width, height) == image.size:
        return image
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def center_crop(image: PIL.Image.Image, side_px: int) -> PIL.Image.Image:
    """Crop the central square of ``side_px``; the image must be at least that large."""
    width, height = image.size
    left, top = round((width - side_px) / 2), round((height - side_px) / 2)
    return image.crop((left, top, left + side_px, top + side_px))
