"""Source and licence of media survive reading, conversion and packing."""

from __future__ import annotations

import json
from pathlib import Path

import PIL.Image

from nextgpt.data.corpus import read_corpus
from nextgpt.data.record import CaptionPair, MediaFile
from nextgpt.data.writers import write_jsonl, write_tar_shards

COCO = {
    "images": [{"id": 1, "file_name": "a.png", "license": 4, "flickr_url": "https://example.org/a"}],
    "annotations": [{"id": 7, "image_id": 1, "caption": "a cat"}],
    "licenses": [{"id": 4, "name": "Attribution License"}],
}


def only_medium(path: Path, **options: Path) -> MediaFile:
    record = read_corpus(path, **options).records[0]
    assert isinstance(record, CaptionPair)
    return record.medium


def test_coco_names_the_licence_and_the_address_of_each_image(tmp_path: Path):
    (tmp_path / "coco.json").write_text(json.dumps(COCO))
    medium = only_medium(tmp_path / "coco.json")
    assert (medium.source, medium.licence) == ("https://example.org/a", "Attribution License")


def test_own_form_keeps_source_and_licence_in_lines_and_tars(tmp_path: Path):
    PIL.Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    pair = CaptionPair("1", MediaFile("image", tmp_path / "a.png", caption="a cat", source="me", licence="CC0"))
    write_jsonl([pair], tmp_path / "own.jsonl")
    list(write_tar_shards([pair], tmp_path / "tars", shard_bytes=2**20))
    for path in (tmp_path / "own.jsonl", tmp_path / "tars"):
        medium = only_medium(path)
        assert (medium.caption, medium.source, medium.licence) == ("a cat", "me", "CC0")
