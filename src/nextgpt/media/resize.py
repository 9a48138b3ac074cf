"""Change the size of pictures."""

from __future__ import annotations

import PIL.Image


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
