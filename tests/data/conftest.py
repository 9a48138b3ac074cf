"""Small corpora in their real formats, each with one corrupt item."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from nextgpt.testing.scripted_model import tiny_audio, tiny_image, tiny_video

SAVE = {"image": (tiny_image, ".jpg"), "audio": (tiny_audio, ".wav"), "video": (tiny_video, ".mp4")}
CORRUPT = b"\xff\xd8\xff no picture, sound or film"


@dataclass(frozen=True)
class Written:
    """A corpus that was written."""

    path: Path
    records: int
    """Those that can be trained on."""
    is_pairs: bool = True


def medium(path: Path, modality: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return SAVE[modality][0]().save(path)


def corrupt(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(CORRUPT)
    return path


def as_json(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def as_csv(path: Path, rows: list[dict]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def as_tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def said(*turns: str) -> list[dict]:
    return [{"from": ("human", "gpt")[index % 2], "value": turn} for index, turn in enumerate(turns)]


def named(folder: Path, modality: str, where: str, key: str) -> Written:
    suffix = SAVE[modality][1]
    medium(folder / where / f"a{suffix}", modality)
    corrupt(folder / where / f"b{suffix}")
    rows = [{"caption": f"a {name}", "id": name, f"{modality}_name": f"{name}{suffix}"} for name in "ab"]
    return Written(as_json(folder / f"{key}.json", rows), 1)


def cc3m_json(folder: Path) -> Written:
    return named(folder, "image", "images", "cc3m")


def webvid_json(folder: Path) -> Written:
    return named(folder, "video", "videos", "webvid")


def audiocaps_json(folder: Path) -> Written:
    return named(folder, "audio", "audios", "audiocap")


def caption_tar(folder: Path) -> Written:
    picture_bytes = medium(folder / "a.jpg", "image").read_bytes()
    film_bytes = medium(folder / "b.mp4", "video").read_bytes()
    return Written(
        as_tar(folder / "00000.tar", {
            "000000000.jpg": picture_bytes, "000000000.txt": b"a red square",
            "000000000.json": json.dumps({"caption": "a red square", "status": "success"}).encode(),
            "000000001.mp4": film_bytes, "000000001.json": json.dumps({"caption": "getting bright"}).encode(),
            "000000002.jpg": CORRUPT, "000000002.txt": b"broken",
        }),
        2,
    )  # fmt: skip


def webvid_csv(folder: Path) -> Written:
    medium(folder / "videos/000001_000050/1066674784.mp4", "video")
    corrupt(folder / "videos/000001_000050/1066674785.mp4")
    rows = [
        {"videoid": number, "contentUrl": "https://example.org/a.mp4", "duration": "PT00H00M31S",
         "page_dir": "000001_000050", "name": "Getting bright, slowly."}
        for number in ("1066674784", "1066674785")
    ]  # fmt: skip
    return Written(as_csv(folder / "results_2M_val.csv", rows), 1)


def audiocaps_csv(folder: Path) -> Written:
    medium(folder / "audio" / "91139.wav", "audio")
    corrupt(folder / "audio" / "58146.wav")
    rows = [
        {"audiocap_id": number, "youtube_id": name, "start_time": "130", "caption": "A tone"}
        for number, name in (("91139", "r1nicOVtvkQ"), ("58146", "sDSppXIlJrs"))
    ]
    return Written(as_csv(folder / "train.csv", rows), 1)


def coco_captions(folder: Path) -> Written:
    medium(folder / "val2014/COCO_val2014_000000391895.jpg", "image")
    content = {
        "info": {"year": 2014},
        "images": [{"id": 391895, "file_name": "COCO_val2014_000000391895.jpg", "height": 360, "width": 640}],
        "annotations": [
            {"image_id": 391895, "id": 770337, "caption": "A red square."},
            {"image_id": 391895, "id": 771687, "caption": "A square."},
            {"image_id": 5, "id": 6, "caption": "Of no picture."},
        ],
    }
    return Written(as_json(folder / "captions_val2014.json", content), 2)


def msrvtt(folder: Path) -> Written:
    medium(folder / "TrainValVideo" / "video0.mp4", "video")
    content = {
        "videos": [{"video_id": "video0", "category": 9, "split": "train"}, {"video_id": "video1", "split": "train"}],
        "sentences": [
            {"caption": "it is getting bright", "video_id": "video0", "sen_id": 0},
            {"caption": "a film that is missing", "video_id": "video1", "sen_id": 1},
        ],
    }
    return Written(as_json(folder / "train_val_videodatainfo.json", content), 1)


def minigpt4(folder: Path) -> Written:
    medium(folder / "image" / "2.jpg", "image")
    corrupt(folder / "image" / "3.jpg")
    rows = [{"image_id": number, "caption": "The image shows a red square."} for number in "23"]
    return Written(as_json(folder / "filter_cap.json", {"annotations": rows}), 1)


def llava(folder: Path) -> Written:
    medium(folder / "coco/train2017/000000033471.jpg", "image")
    rows = [
        {"id": "000000033471", "image": "coco/train2017/000000033471.jpg",
         "conversations": said("<image>\nWhat is this?", "A red square.", "Which colour?", "Red.")},
        {"id": "000000033472", "image": "coco/train2017/000000033472.jpg",
         "conversations": said("What is this?\n<image>", "It is missing.")},
        {"id": "words", "conversations": said("Hello", "Hello!")},
    ]  # fmt: skip
    return Written(as_json(folder / "llava_instruct_150k.json", rows), 2, is_pairs=False)


def videochat(folder: Path) -> Written:
    medium(folder / "a.mp4", "video")
    rows = [
        {"video": "a.mp4", "QA": [{"i": "", "q": "What happens?", "a": "It is getting bright."}]},
        {"video": "b.mp4", "QA": [{"q": "And here?", "a": "It is missing."}]},
    ]
    return Written(as_json(folder / "videochat_instruct_11k.json", rows), 1, is_pairs=False)


def alpaca(folder: Path) -> Written:
    rows = [
        {"instruction": "Add.", "input": "1 and 1", "output": "2"},
        {"instruction": "Say nothing.", "input": "", "output": ""},
    ]
    return Written(as_json(folder / "alpaca_data.json", rows), 1, is_pairs=False)


def t2m_legacy(folder: Path) -> Written:
    def row(name: str, caption: str) -> dict:
        return {
            "mm_name": name, "source_data": {},
            "conversation": [
                {"from": "human", "value": "Draw a square", "input_modality": "text"},
                {"from": "gpt", "value": "Here it is.", "caption": caption, "output_modality": "image"},
            ],
        }  # fmt: skip

    rows = [row("it_img_0.jpg", "a red square"), row("it_img_1.jpg", "")]
    return Written(as_json(folder / "image_t2x.json", rows), 1, is_pairs=False)


def nextgpt(folder: Path) -> Written:
    medium(folder / "images" / "c.jpg", "image")
    rows = [
        {"image_captions": ["a red square"], "image_caption_embeddings": ["it_img_0.jpg.npy"],
         "conversations": said("Draw a square", "Here it is. <image>")},
        {"input_image": "c.jpg", "conversations": said("<image>\nWhat is this?", "A red square.")},
        {"output_audio": "d.wav", "audio_captions": "a tone", "audio_caption_embeddings": "d.wav.npy",
         "conversations": said("Play a tone", "Sure! <audio>")},
        {"image_captions": ["one"], "conversations": said("Draw two", "Here: <image> and <image>")},
    ]  # fmt: skip
    return Written(as_json(folder / "image_instruction_tuning.json", rows), 3, is_pairs=False)


def mosit(folder: Path) -> Written:
    name = "mosit_i_0000000_00.jpg"
    listed = {"image_list": [{"image_name": name, "data_source": "", "caption": "a red square"}],
              "video_list": [], "audio_list": []}  # fmt: skip
    answer = f"Look: <Image>{name}</Image> Nice?"
    rows = [
        listed | {"conversation": said("Show me a square", answer)},
        listed | {"conversation": said("And of no list?", "<Image>mosit_i_9.jpg</Image>")},
    ]
    return Written(as_json(folder / "mosit.json", rows), 1, is_pairs=False)


def messages_jsonl(folder: Path) -> Written:
    medium(folder / "cat.jpg", "image")
    rows = [
        {"id": "0", "messages": [
            {"role": "user", "content": [
                {"type": "image", "path": "cat.jpg"}, {"type": "text", "text": "Make it blue"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "There."}, {
                "type": "image", "path": "blue.jpg", "caption": "a blue square", "is_edit": True}]},
        ]},
        {"id": "1", "pair": {"type": "image", "path": "cat.jpg", "caption": "a red square"}},
        {"id": "2", "messages": [{"role": "user", "content": [{"type": "smell", "path": "rose"}]}]},
    ]  # fmt: skip
    path = folder / "own.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + "\n{ no json\n")
    return Written(path, 2, is_pairs=False)


def messages_tar(folder: Path) -> Written:
    row = {"id": "7", "messages": [
        {"role": "user", "content": [{"type": "image", "path": "0.jpg"}, {"type": "text", "text": "What is this?"}]},
        {"role": "assistant", "content": "A red square."},
    ]}  # fmt: skip
    about = json.dumps(row).encode()
    good = medium(folder / "a.jpg", "image").read_bytes()
    members = {"7.messages.json": about, "7.0.jpg": good, "8.messages.json": about, "8.0.jpg": CORRUPT}
    return Written(as_tar(folder / "own.tar", members), 1, is_pairs=False)


WRITERS: dict[str, Callable[[Path], Written]] = {
    writer.__name__: writer
    for writer in (
        cc3m_json, webvid_json, audiocaps_json, caption_tar, webvid_csv, audiocaps_csv, coco_captions, msrvtt,
        minigpt4, llava, videochat, alpaca, t2m_legacy, nextgpt, mosit, messages_jsonl, messages_tar,
    )
}  # fmt: skip
"""A writer for every format of the table."""


@pytest.fixture(params=WRITERS)
def format_name(request: pytest.FixtureRequest) -> str:
    """Every format in turn."""
    return request.param


@pytest.fixture
def written(format_name: str, tmp_path: Path) -> Written:
    """A small corpus of that format."""
    return WRITERS[format_name](tmp_path)


@pytest.fixture
def written_formats() -> set[str]:
    """Names of all formats that are written here."""
    return set(WRITERS)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Written]:
    """Writes a corpus of a format."""
    return lambda name: WRITERS[name](tmp_path)
