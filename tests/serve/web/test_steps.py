"""The chat without a browser: what is done to conversations, answers being made, rooms, archives, rows."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from nextgpt.errors import ConversationError
from nextgpt.message import (
    Audio,
    Conversation,
    Image,
    Medium,
    Message,
    Progress,
    Reply,
    Text,
    TextPiece,
    Video,
)
from nextgpt.serve.engine.base import Answered
from nextgpt.serve.settings import ServerSettings
from nextgpt.serve.web.archive import ArchiveLimits, pack, unpack
from nextgpt.serve.web.live import Live
from nextgpt.serve.web.rooms import Rooms
from nextgpt.serve.web.rows import progress_html, rows, turn_of_row
from nextgpt.serve.web.strings import ENGLISH, strings_for
from nextgpt.serve.web.turns import Wishes, edited, made, said, sampling, unanswered
from nextgpt.testing.scripted import film, picture, sound

TALK = Conversation(
    (
        Message("user", (picture(), Text("What?"))),
        Message("assistant", (Text("Look:"), picture((0, 255, 0)), sound())),
        Message("user", (Text("More"),)),
        Message("assistant", (film(),)),
    )
)


def _decode(modality: str, content: bytes) -> Medium:
    return {"image": Image, "audio": Audio, "video": Video}[modality].open(content)


def _zip(files: dict[str, bytes], tmp_path: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_wishes_from_a_browser_come_out_within_the_limits() -> None:
    wished = sampling(Wishes(("video", "text", "smell"), -5, 10**9, 1e9, 10**9), ServerSettings())
    assert (wished.seed, wished.steps, wished.guidance, wished.max_tokens) == (0, 100, 50.0, 2048)
    assert wished.modalities == ("text", "video")


def test_wishes_left_alone_leave_it_to_the_model() -> None:
    wished = sampling(Wishes(), ServerSettings())
    assert (wished.modalities, wished.steps, wished.guidance) == (None, None, None)


def test_media_stand_before_the_words_that_ask_about_them() -> None:
    (message,) = said(Conversation(), "What?", [picture()], ENGLISH)
    assert [part.modality for part in message.parts] == ["image", "text"]


def test_an_empty_message_is_refused() -> None:
    with pytest.raises(ConversationError, match="empty message"):
        said(Conversation(), "  ", [], ENGLISH)


def test_a_retry_goes_back_to_what_was_said_last() -> None:
    assert unanswered(TALK).messages == TALK.messages[:3]


def test_an_edited_message_keeps_its_media_and_drops_what_followed() -> None:
    (message,) = edited(TALK, 0, "Why?", ENGLISH)
    assert message.text == "Why?"
    assert message.media == TALK.messages[0].media


@pytest.mark.parametrize("turn", [1, -1, 9])
def test_only_own_messages_can_be_edited(turn: int) -> None:
    with pytest.raises(ConversationError, match="no user's"):
        edited(TALK, turn, "Why?", ENGLISH)


def test_the_gallery_holds_what_the_model_made_the_latest_first() -> None:
    assert [medium.modality for _, _, medium in made(TALK)] == ["video", "audio", "image"]


def test_an_answer_grows_in_speaking_order() -> None:
    live = Live()
    for event in (TextPiece("Look"), TextPiece(":"), Progress("image", 1, 2), picture(), TextPiece("Nice?")):
        live = live.hear(event, 0.0)
    assert [getattr(part, "text", part.modality) for part in live.parts] == ["Look:", "image", "Nice?"]
    assert live.progress is None


def test_the_end_tells_what_was_dropped() -> None:
    reply = Reply((Text("all"),), dropped=("half a film",))
    live = Live().hear(Answered(reply, prompt_tokens=1, completion_tokens=1, finish_reason="stop"), 0.0)
    assert (live.parts, live.dropped) == ((Text("all"),), ("half a film",))


def test_the_time_left_follows_from_the_steps_that_were_seen() -> None:
    live = Live().hear(Progress("image", 1, 11), 10.0)
    assert live.left_s(10.0) is None
    assert live.hear(Progress("image", 6, 11), 20.0).left_s(20.0) == pytest.approx(10.0)


def test_progress_is_drawn_with_its_preview_and_nothing_of_the_medium_can_be_markup() -> None:
    drawn = progress_html(Live().hear(Progress("<b>", 1, 2, picture()), 0.0), 0.0, ENGLISH)
    assert 'value="1" max="2"' in drawn
    assert "data:image/png;base64," in drawn
    assert "<b>" not in drawn


@pytest.mark.parametrize("medium", [picture(), sound(), film()])
def test_every_modality_has_a_preview(medium: Medium) -> None:
    step = Progress(medium.modality, 1, 2, medium)
    assert "<img" in progress_html(Live().hear(step, 0.0), 0.0, ENGLISH)


def test_rows_are_parts_and_lead_back_to_their_message(tmp_path: Path) -> None:
    shown = rows(TALK, lambda medium: tmp_path / medium.modality, ENGLISH)
    assert [row["role"] for row in shown] == ["user"] * 2 + ["assistant"] * 3 + ["user", "assistant"]
    assert [turn_of_row(TALK, row) for row in (0, 1, 4, 5, 6, 7, -1)] == [0, 0, 1, 2, 3, -1, -1]


def test_a_room_is_found_again_by_its_id_alone() -> None:
    rooms = Rooms(most=5, keep_s=60)
    room = rooms.enter(None)
    assert rooms.enter(room.id) is room
    assert rooms.enter("0" * 32) is not room
    assert rooms.enter("../etc").id != "../etc"
    assert room.id not in str(room.folder)
    rooms.close()


def test_the_longest_unseen_room_makes_place_with_its_files() -> None:
    rooms = Rooms(most=2, keep_s=60)
    first = rooms.enter(None)
    assert first.file(picture()).exists()
    for _ in range(2):
        rooms.enter(None)
    assert not first.folder.exists()
    assert rooms.enter(first.id) is not first
    rooms.close()


def test_a_conversation_survives_export_and_import(tmp_path: Path) -> None:
    found = unpack(pack(TALK, tmp_path / "a.zip").read_bytes(), _decode)
    assert [m.role for m in found] == [m.role for m in TALK]
    assert [[p.modality for p in m.parts] for m in found] == [[p.modality for p in m.parts] for m in TALK]
    assert found.messages[0].media[0].digest == TALK.messages[0].media[0].digest


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "conversation.json"])
def test_names_never_lead_out_of_the_archive(name: str, tmp_path: Path) -> None:
    words = f'[{{"role": "user", "parts": [{{"type": "image", "path": "{name}"}}]}}]'.encode()
    with pytest.raises(ConversationError, match="lacks the file"):
        unpack(_zip({"conversation.json": words}, tmp_path), _decode)


def test_a_bomb_is_stopped_while_it_unpacks(tmp_path: Path) -> None:
    words = b'[{"role": "user", "parts": [{"type": "image", "path": "a.png"}]}]'
    bomb = _zip({"conversation.json": words, "a.png": b"\0" * 10_000_000}, tmp_path)
    with pytest.raises(ConversationError, match="unpacks to more than 1 MiB"):
        unpack(bomb, _decode, ArchiveLimits(medium_bytes=2**20))


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04" + b"\0" * 50])
def test_what_is_no_archive_is_refused(content: bytes) -> None:
    with pytest.raises(ConversationError, match="no ZIP"):
        unpack(content, _decode)


def test_an_archive_of_another_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConversationError, match="another form"):
        unpack(_zip({"conversation.json": b'[{"role": "king"}]'}, tmp_path), _decode)


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConversationError, match="more than 3 files"):
        unpack(_zip({str(n): b"" for n in range(4)}, tmp_path), _decode, ArchiveLimits(entries=3))


def test_a_language_that_is_missing_falls_back_to_english() -> None:
    assert strings_for("xx-YY, en;q=0.5") is ENGLISH
    assert strings_for("") is ENGLISH
