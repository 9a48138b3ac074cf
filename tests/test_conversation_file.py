from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nextgpt.conversation_file import SIZE_LIMIT_BYTES, read_conversation, write_conversation
from nextgpt.errors import ConversationError, MediaError
from nextgpt.message import Conversation, Message, Text
from nextgpt.testing.scripted_model import tiny_audio, tiny_image, tiny_video


def _talk() -> Conversation:
    answer = Message.create("assistant", ["Here: ", tiny_image((0, 255, 0)), tiny_video()])
    return Conversation((Message.create("user", [tiny_audio(), tiny_image(), "What's this? ☃ [IMG0]"]), answer))


def test_what_is_written_can_be_read_again(tmp_path: Path) -> None:
    read = read_conversation(write_conversation(_talk(), tmp_path / "new" / "folder"))
    assert [message.role for message in read] == ["user", "assistant"]
    assert [message.text for message in read] == [message.text for message in _talk()]
    assert [part.modality for message in read for part in message.parts] == [
        "audio", "image", "text", "text", "image", "video",
    ]  # fmt: skip
    assert np.array_equal(np.asarray(read.media[1].image), np.asarray(tiny_image().image))


def test_the_form_is_a_list_of_messages_with_typed_parts(tmp_path: Path) -> None:
    entries = json.loads(write_conversation(_talk(), tmp_path).read_text())
    assert entries[1] == {
        "role": "assistant",
        "parts": [
            {"type": "text", "text": "Here: "},
            {"type": "image", "path": "01-01-image.png"},
            {"type": "video", "path": "01-02-video.mp4"},
        ],
    }
    assert sorted(path.name for path in tmp_path.glob("*-*")) == [
        "00-00-audio.wav", "00-01-image.png", "01-01-image.png", "01-02-video.mp4",
    ]  # fmt: skip


def test_an_empty_conversation_survives(tmp_path: Path) -> None:
    assert read_conversation(write_conversation(Conversation(), tmp_path)) == Conversation()


def test_media_are_found_beside_the_file_wherever_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_conversation(_talk(), tmp_path / "talk")
    monkeypatch.chdir(tmp_path)
    assert len(read_conversation(Path("talk/conversation.json")).media) == 4


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("", ""),
        ("{", ""),
        ("{}", ""),
        ("\udcff", ""),
        ('[{"role": "robot", "parts": []}]', " at 0.role"),
        ('[{"role": "user"}]', " at 0.parts"),
        ('[{"role": "user", "parts": [{"type": "smell", "path": "x"}]}]', " at 0.parts.0"),
        ('[{"role": "user", "parts": [{"type": "text", "text": 3}]}]', " at 0.parts.0.text"),
        ('[{"role": "user", "parts": [], "mood": "good"}]', " at 0.mood"),
        ("[" * 100_000, ""),
    ],
)
def test_a_file_of_another_form_is_refused_with_the_place(content: str, named: str, tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    path.write_text(content, errors="surrogateescape")
    with pytest.raises(ConversationError, match=r"history\.json" + named.replace(".", r"\.")) as caught:
        read_conversation(path)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_is_skipped(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    path.write_text('[{"role": "user", "parts": [{"type": "text", "text": "Hi"}]}]', encoding=encoding)
    assert read_conversation(path).messages[0].text == "Hi"


def test_a_medium_that_is_missing_is_named(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    path.write_text('[{"role": "user", "parts": [{"type": "image", "path": "gone.png"}]}]')
    with pytest.raises(MediaError, match=r"gone\.png"):
        read_conversation(path)


@pytest.mark.parametrize("name", ["missing.json", ".", "\0"])
def test_what_is_no_file_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConversationError, match="expected a conversation.json"):
        read_conversation(tmp_path / name)


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.truncate(SIZE_LIMIT_BYTES + 1)
    with pytest.raises(ConversationError, match="larger than 16 MiB"):
        read_conversation(path)


def test_a_folder_that_cannot_be_made_is_the_users_mistake(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MediaError, match="cannot be written, because it or a parent is a file"):
        write_conversation(Conversation((Message("user", (Text("Hi"),)),)), tmp_path / "file" / "under")
