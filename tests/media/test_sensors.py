"""Depth maps, thermal pictures and inertial measurements: their common files are read, others refused in one line."""

from __future__ import annotations

import io

import numpy as np
import PIL.Image
import pytest

from nextgpt import Depth, Imu, Thermal
from nextgpt.errors import MediaError
from nextgpt.media.sensors import read_imu


def picture(values: np.ndarray, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    PIL.Image.fromarray(values).save(file, kind)
    return file.getvalue()


def npy(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_depth_is_in_millimetres(kind):
    values = np.array([[0, 1500], [250, 65535]], dtype=np.uint16)
    metres = Depth.open(picture(values, kind)).metres
    np.testing.assert_allclose(metres, [[0, 1.5], [0.25, 65.535]], rtol=1e-6)


def test_depth_arrays_are_in_metres_or_whole_millimetres():
    np.testing.assert_allclose(Depth.open(npy(np.array([[1.5]]))).metres, [[1.5]])
    np.testing.assert_allclose(Depth.open(npy(np.array([[1500]]))).metres, [[1.5]])


def test_8_bit_thermal_pictures_keep_their_scale_and_16_bit_ones_are_stretched():
    np.testing.assert_allclose(Thermal.open(picture(np.array([[51, 102]], dtype=np.uint8))).values, [[0.2, 0.4]])
    raw = np.array([[29_000, 30_000, 31_000]], dtype=np.uint16)
    for file in (picture(raw), picture(raw, "TIFF"), npy(raw)):
        np.testing.assert_allclose(Thermal.open(file).values, [[0.0, 0.5, 1.0]])


CSV = "ax,ay,az,gx,gy,gz\n1,2,3,4,5,6\n1,2,3,4,5,7\n"


def test_a_csv_states_its_rate_in_its_first_line_or_by_its_times():
    stated = Imu.open(f"# sample_rate_hz: 200\n{CSV}".encode())
    assert stated.sample_rate_hz == 200
    np.testing.assert_array_equal(stated.samples[:, 1], [1, 2, 3, 4, 5, 7])
    timed = "gx,gy,gz,time_s,ax,ay,az\n4,5,6,0.00,1,2,3\n4,5,6,0.02,1,2,3\n4,5,6,0.04,1,2,3\n"
    by_times = Imu.open(timed.encode())
    assert by_times.sample_rate_hz == pytest.approx(50)
    np.testing.assert_array_equal(by_times.samples[:, 0], [1, 2, 3, 4, 5, 6])


def test_an_array_needs_a_stated_rate():
    samples = np.ones((6, 4), np.float32)
    assert read_imu(npy(samples), sample_rate_hz=100).sample_rate_hz == 100
    with pytest.raises(MediaError, match="sample rate None; expected one above 0 Hz.*pass sample_rate_hz"):
        Imu.open(npy(samples))


@pytest.mark.parametrize(
    "medium",
    [
        Depth(np.float32([[0.1, 2.0]])),
        Thermal(np.float32([[0.1, 0.9]])),
        Imu(np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32), 199.7),
    ],
    ids=lambda medium: medium.modality,
)
def test_what_is_saved_comes_back_bit_by_bit(medium, tmp_path):
    again = type(medium).open(medium.save(tmp_path / "it"))
    assert again.digest == medium.digest


RGB = np.zeros((2, 2, 3), np.uint8)
NOISE = np.random.default_rng(0).integers(0, 2**16, (64, 64), dtype=np.uint16)


@pytest.mark.parametrize(
    ("kind", "content", "told"),
    [
        (Depth, picture(np.zeros((2, 2), np.uint8)), "has 8 bits a pixel; expected 16-bit"),
        (Depth, picture(RGB), "mode RGB; expected a depth map"),
        (Depth, picture(RGB, "JPEG"), "cannot be read"),
        (Depth, picture(NOISE)[:2000], "cannot be read"),
        (Depth, npy(np.array([[-1.0]])), "distance of -1 m"),
        (Depth, npy(np.array([[np.nan]])), "NaN or infinite"),
        (Depth, npy(np.zeros((2, 2, 2))), r"shape \(2, 2, 2\); expected \(height, width\)"),
        (Depth, npy(np.array([["a"]])), "an array of numbers"),
        (Thermal, picture(RGB), "mode RGB; expected a thermal image"),
        (Thermal, b"hello", "cannot be read"),
        (Thermal, npy(np.zeros((2, 2)))[:40], "damaged NPY"),
        (Imu, b"# sample_rate_hz: 200\n1,2,3\n", r"shape \(3, 1\); expected \(6, samples\)"),
        (Imu, b"ax,ay,az\n1,2,3\n", "has the columns ax, ay, az; expected"),
        (Imu, b"# sample_rate_hz: fast\n1,2,3,4,5,6\n", "no CSV of numbers"),
        (Imu, b"# sample_rate_hz: 200\n1,2,3,4,5,x\n", "no CSV of numbers"),
        (Imu, CSV.encode(), "sample rate None"),
        (Imu, b"\xff\xfe\x00", "no CSV of numbers"),
        (Imu, b"", "is empty"),
    ],
)
def test_other_files_are_refused_with_what_was_expected(kind, content, told):
    with pytest.raises(MediaError, match=told):
        kind.open(content)


def test_arrays_that_hold_code_are_not_run():
    file = io.BytesIO()
    np.save(file, np.array([[object()]], dtype=object), allow_pickle=True)
    with pytest.raises(MediaError, match="damaged NPY"):
        Depth.open(file.getvalue())
