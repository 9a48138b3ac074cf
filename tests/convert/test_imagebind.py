"""The published ImageBind: every key is placed, and a file that is wrong in any way leaves nothing behind."""

from __future__ import annotations

import os
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from nextgpt.cli.app import main
from nextgpt.convert import convert_imagebind, weights_io
from nextgpt.errors import ModelError, WeightsError
from nextgpt.message import Audio
from nextgpt.model.encoding import load_encoder
from nextgpt.model.safetensors_io import read_safetensors


@pytest.fixture
def weights(imagebind_tensors, tmp_path):
    path = tmp_path / "imagebind_huge.pth"
    torch.save(imagebind_tensors, path)
    return path


def test_every_tensor_arrives_bit_by_bit(weights, imagebind_tensors, tiny_imagebind, tmp_path):
    placed = convert_imagebind(weights, tmp_path / "encoder", config=tiny_imagebind)
    assert placed == len(imagebind_tensors)
    written = read_safetensors(tmp_path / "encoder" / "model.safetensors")
    assert written.keys() == imagebind_tensors.keys()
    assert all(torch.equal(tensor, imagebind_tensors[name]) for name, tensor in written.items())
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_the_folder_is_an_encoder(weights, tiny_imagebind, tmp_path):
    convert_imagebind(weights, tmp_path / "encoder", config=tiny_imagebind)
    encoder = load_encoder(tmp_path / "encoder")
    sound = Audio(np.random.default_rng(0).uniform(-0.5, 0.5, (1, 16000)).astype(np.float32), 16000)
    assert encoder.encode([sound])[0].vectors.shape == (1, 8)


def test_old_files_of_torch_are_read_too(imagebind_tensors, tiny_imagebind, tmp_path):
    path = tmp_path / "old.pth"
    torch.save(imagebind_tensors, path, _use_new_zipfile_serialization=False)
    assert convert_imagebind(path, tmp_path / "encoder", config=tiny_imagebind) == len(imagebind_tensors)


def _missing(tensors):
    del tensors["modality_trunks.imu.blocks.1.attn.bias_k"], tensors["modality_heads.imu.3.weight"]


def _renamed(tensors):
    tensors["modality_heads.depth.3.weight"] = tensors.pop("modality_heads.depth.2.weight")


def _resized(tensors):
    tensors["modality_preprocessors.text.pos_embed"] = torch.zeros(1, 7, 16)


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (_missing, r"2 missing: modality_heads.imu.3.weight, modality_trunks.imu.blocks.1.attn.bias_k"),
        (_renamed, r"1 missing: modality_heads.depth.2.weight; 1 unexpected: modality_heads.depth.3.weight"),
        (_resized, r"pos_embed \(1, 7, 16\) instead of \(1, 6, 16\)"),
    ],
)
def test_keys_that_do_not_fit_are_all_named_and_nothing_is_written(
    harm, told, imagebind_tensors, tiny_imagebind, tmp_path
):
    harm(imagebind_tensors)
    path = tmp_path / "harmed.pth"
    torch.save(imagebind_tensors, path)
    with pytest.raises(WeightsError, match=told):
        convert_imagebind(path, tmp_path / "encoder", config=tiny_imagebind)
    assert list(tmp_path.iterdir()) == [path]


class _Code:
    def __reduce__(self):
        return os.system, ("touch harmed",)


def _with_code(path: Path) -> None:
    torch.save({"a": _Code()}, path)


def _cut_off(path: Path) -> None:
    torch.save({"a": torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:2000])


def _with_state(path: Path) -> None:
    torch.save({"model": {"a": torch.zeros(1)}, "epoch": 3}, path)


def _other_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.txt", "hello")


@pytest.mark.parametrize(
    ("write", "told"),
    [
        (lambda path: None, "is missing"),
        (_with_code, "contains code"),
        (_cut_off, "is damaged"),
        (_with_state, "model, epoch besides tensors"),
        (_other_zip, "is damaged"),
        (lambda path: path.write_text("hello"), "is damaged|no pickle"),
        (lambda path: path.write_bytes(b""), "is damaged|no pickle"),
    ],
)
def test_a_bad_file_is_one_line_and_status_2_and_nothing_is_written(write, told, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "weights.pth"
    write(path)
    assert main(["convert", "imagebind", str(path), str(tmp_path / "encoder")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert re.search(told, said), said
    assert [item for item in tmp_path.iterdir() if item != path] == []


def test_a_folder_that_holds_something_is_left_alone(weights, tiny_imagebind, tmp_path):
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder" / "mine.txt").write_text("keep")
    with pytest.raises(ModelError, match="holds something already"):
        convert_imagebind(weights, tmp_path / "encoder", config=tiny_imagebind)
    assert (tmp_path / "encoder" / "mine.txt").read_text() == "keep"


def test_a_full_disk_is_told_before_and_while_writing(weights, tiny_imagebind, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(weights_io.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 10})())
        with pytest.raises(ModelError, match=r"needs .* GB; the disk has 0.00 GB"):
            convert_imagebind(weights, tmp_path / "encoder", config=tiny_imagebind)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(weights_io, "save_file", full)
    with pytest.raises(ModelError, match="cannot be written .No space left"):
        convert_imagebind(weights, tmp_path / "encoder", config=tiny_imagebind)
    assert list(tmp_path.iterdir()) == [weights]
