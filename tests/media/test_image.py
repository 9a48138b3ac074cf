"""Pictures: read upright as RGB, written in the format of the suffix."""

from __future__ import annotations

import io

import numpy as np
import PIL.Image
import pytest

from nextgpt.errors import MediaError
from nextgpt.media import center_crop, read_image, resize_short_side, write_image
from nextgpt.media.image import MAX_ASPECT_RATIO


def encoded(picture: PIL.Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".gif", ".jpg", ".webp", ".JPEG"])
def test_a_written_picture_comes_back(picture, tmp_path, suffix):
    path = write_image(picture, tmp_path / f"a{suffix}")
    read = np.asarray(read_image(path).image, int)
    tolerance = 0 if suffix in (".png", ".bmp", ".tiff") else 12
    assert np.abs(read - np.asarray(picture.image, int)).mean() <= tolerance


def test_without_a_suffix_a_png_is_written_that_names_its_writer(picture, tmp_path):
    path = write_image(picture, tmp_path / "a")
    assert path.name == "a.png"
    assert PIL.Image.open(path).text == {"Software": "NExT-GPT"}


def test_path_string_bytes_and_open_file_read_the_same(picture, tmp_path):
    path = write_image(picture, tmp_path / "a.png")
    with path.open("rb") as file:
        read = [read_image(source).image.tobytes() for source in (path, str(path), path.read_bytes(), file)]
    assert set(read) == {picture.image.tobytes()}


def test_a_wrong_suffix_does_not_matter(picture, tmp_path):
    path = write_image(picture, tmp_path / "a.png").rename(tmp_path / "a.jpg")
    assert read_image(path).image.size == (40, 24)


def test_transparency_is_laid_on_white():
    half = PIL.Image.new("RGBA", (1, 1), (0, 0, 0, 128))
    assert read_image(encoded(half, "PNG")).image.getpixel((0, 0)) == (127, 127, 127)


@pytest.mark.parametrize(
    ("orientation", "shown"),
    [(1, "0123"), (2, "1032"), (3, "3210"), (4, "2301"), (5, "0213"), (6, "2031"), (7, "3120"), (8, "1302")],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_photograph_is_turned_and_mirrored_as_its_orientation_says(orientation, shown, kind):
    """By hand from EXIF 2.3, table 6: where the four corners of the stored picture are shown."""
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]
    stored = np.array(colours, np.uint8).reshape(2, 2, 3).repeat(16, axis=0).repeat(32, axis=1)
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    image = read_image(encoded(PIL.Image.fromarray(stored), kind, exif=exif)).image
    width, height = image.size
    assert (width, height) == ((32, 64) if orientation >= 5 else (64, 32))
    corners = [np.array(image.getpixel((x, y))) for y in (4, height - 5) for x in (4, width - 5)]
    nearest = [int(np.abs(np.array(colours) - corner).sum(axis=1).argmin()) for corner in corners]
    assert "".join(map(str, nearest)) == shown


def test_sixteen_bit_grey_keeps_its_brightness():
    grey = PIL.Image.fromarray(np.full((2, 2), 128 * 256, np.uint16))
    assert read_image(encoded(grey, "PNG")).image.getpixel((0, 0)) == (128, 128, 128)


def test_an_animation_gives_its_first_picture():
    pictures = [PIL.Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    animation = encoded(pictures[0], "GIF", save_all=True, append_images=pictures[1:])
    assert read_image(animation).image.getpixel((0, 0)) == (255, 0, 0)


def test_an_unknown_suffix_is_refused_with_the_known_ones(picture, tmp_path):
    with pytest.raises(MediaError, match=r"\.xyz; expected one of \.png, "):
        write_image(picture, tmp_path / "a.xyz")


def test_a_folder_that_is_missing_is_named(picture, tmp_path):
    with pytest.raises(MediaError, match="cannot be written"):
        write_image(picture, tmp_path / "nowhere" / "a.png")


@pytest.mark.parametrize("size", [(1, 300_000), (300_000, 1), (2, 100_000)])
def test_an_extreme_aspect_ratio_costs_no_more_than_a_square(size):
    side = 224
    resized = resize_short_side(PIL.Image.new("RGB", size, (255, 0, 0)), side)
    assert min(resized.size) == side and max(resized.size) == MAX_ASPECT_RATIO * side
    assert np.asarray(center_crop(resized, side)).tolist() == [[[255, 0, 0]] * side] * side
