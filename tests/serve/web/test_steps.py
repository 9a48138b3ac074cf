"""The chat without a browser: what is done to conversations, answers being made, rooms, archives, rows."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

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
    Sampling,
    Text,
    TextPiece,
    Video,
)
from nextgpt.modality import MODALITIES
from nextgpt.serve.engine.base import Answered
from nextgpt.serve.settings import ServerSettings
from nextgpt.serve.web import again
from nextgpt.serve.web.acts import read_act
from nextgpt.serve.web.archive import ArchiveLimits, pack, unpack
from nextgpt.serve.web.details import Details, said
from nextgpt.serve.web.live import Live
from nextgpt.serve.web.mounting import policy
from nextgpt.serve.web.pacing import newest
from nextgpt.serve.web.rooms import Room, Rooms, file_name
from nextgpt.serve.web.strings import ENGLISH, strings_for
from nextgpt.serve.web.turns import Wishes, edited, sampling, unanswered
from nextgpt.serve.web.turns import said as say
from nextgpt.serve.web.view import PEAKS, making_view, message_view, part_view, turns_view
from nextgpt.serve.wire.chat import ChatRequest, samplings
from nextgpt.testing.scripted import film, picture, sound

TALK = Conversation(
    (
        Message("user", (picture(), Text("What?"))),
        Message("assistant", (Text("Look:"), picture((0, 255, 0)), sound())),
        Message("user", (Text("More"),)),
        Message("assistant", (film(),)),
    )
)


API = again.Api("http://127.0.0.1:8000/v1", "nano", ("text", "image", "audio", "video"), has_keys=False)
WISHED = Sampling(
    seed=17,
    max_tokens=40,
    modalities=("text", "image"),
    steps=dict.fromkeys(MODALITIES, 9),
    guidance=dict.fromkeys(MODALITIES, 2.5),
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
    (message,) = say(Conversation(), "What?", [picture()], ENGLISH)
    assert [part.modality for part in message.parts] == ["image", "text"]


def test_an_empty_message_is_refused() -> None:
    with pytest.raises(ConversationError, match="empty message"):
        say(Conversation(), "  ", [], ENGLISH)


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


def test_an_answer_grows_in_speaking_order() -> None:
    live = Live()
    for event in (TextPiece("Look"), TextPiece(":"), Progress("image", 1, 2), picture(), TextPiece("Nice?")):
        live = live.hear(event, 0.0)
    assert [getattr(part, "text", part.modality) for part in live.parts] == ["Look:", "image", "Nice?"]
    assert live.making == ()


def test_media_of_two_kinds_are_made_side_by_side() -> None:
    live = Live()
    for event in (Progress("image", 1, 4), Progress("audio", 1, 2), Progress("image", 2, 4), sound()):
        live = live.hear(event, 0.0)
    assert [(made.progress.modality, made.progress.step) for made in live.making] == [("image", 2)]


def test_the_end_tells_what_was_dropped() -> None:
    reply = Reply((Text("all"),), dropped=("half a film",))
    live = Live().hear(Answered(reply, prompt_tokens=1, completion_tokens=1, finish_reason="stop"), 0.0)
    assert (live.parts, live.dropped) == ((Text("all"),), ("half a film",))


def test_the_time_left_follows_from_the_steps_that_were_seen() -> None:
    live = Live().hear(Progress("image", 1, 11), 10.0)
    assert making_view(live.making, 10.0)[0]["left_s"] is None
    assert making_view(live.hear(Progress("image", 6, 11), 20.0).making, 20.0)[0]["left_s"] == pytest.approx(
        10.0
    )


@pytest.mark.parametrize("medium", [picture(), sound(), film()])
def test_every_modality_has_a_preview(medium: Medium) -> None:
    live = Live().hear(Progress(medium.modality, 1, 2, medium), 0.0)
    (shown,) = making_view(live.making, 0.0)
    assert (shown["step"], shown["total"]) == (1, 2)
    assert shown["preview"].startswith("data:image/png;base64,")


def test_a_view_holds_every_part_in_order() -> None:
    shown = turns_view(TALK)
    assert [turn["role"] for turn in shown] == ["user", "assistant", "user", "assistant"]
    assert [part["kind"] for part in shown[1]["parts"]] == ["text", "image", "audio"]
    assert shown[1]["parts"][1]["name"] == file_name(TALK.messages[1].media[0])


def test_a_sound_brings_its_waveform() -> None:
    shown = part_view(sound())
    assert len(shown["peaks"]) == PEAKS
    assert max(shown["peaks"]) == 1.0
    assert shown["peaks"][0] > shown["peaks"][-1]


def test_words_of_the_model_are_markdown_without_markup_of_their_own() -> None:
    words = "**bold** <script>alert(1)</script> ![x](https://example.org/x.png) [y](javascript:alert(1))"
    (part,) = message_view(Message("assistant", (Text(words),)))["parts"]
    assert "<strong>bold</strong>" in part["html"]
    assert not any(mark in part["html"] for mark in ("<script", "<img", 'href="javascript'))
    assert (
        '<a href="https://example.org/x.png" target="_blank" rel="noopener noreferrer">x</a>' in part["html"]
    )


def test_words_of_a_person_bring_no_html() -> None:
    (part,) = message_view(Message("user", (Text("<b>"),)))["parts"]
    assert part == {"kind": "text", "text": "<b>"}


def test_the_details_of_an_answer_tell_what_it_took() -> None:
    reply = Reply((Text("Look: "), picture()), 17, ("half a film",), {"llm": 0.123456, "total": 0.5})
    details = Details(Sampling(seed=17), Answered(reply, 12, 6, "length"))
    shown = message_view(reply.message, details)["details"]
    assert (shown["seed"], shown["prompt_tokens"], shown["answer_tokens"]) == (17, 12, 6)
    assert (shown["ended"], shown["dropped"]) == ("length", ["half a film"])
    assert shown["seconds"] == {"llm": 0.1235, "total": 0.5}
    assert [run["text"] for run in shown["said"]] == ["Look: ", "[IMG0][IMG1][IMG2][IMG3]"]


def test_an_answer_that_was_broken_off_tells_its_seed_and_what_was_said() -> None:
    shown = message_view(Message("assistant", (Text("and and"),)), Details(Sampling(seed=3), None))["details"]
    assert (shown["seed"], shown["ended"]) == (3, "broken")
    assert shown["said"] == [{"kind": "text", "text": "and and"}]


def test_a_turn_whose_making_is_unknown_has_no_details() -> None:
    known = {3: Details(Sampling(), None)}
    assert ["details" in turn for turn in turns_view(TALK, known)] == [False, False, False, True]


def test_signal_tokens_are_told_apart_from_words_that_look_alike_and_edits_say_so() -> None:
    runs = said((Text("[IMG0]"), picture(), sound()), {picture().digest})
    assert [run["kind"] for run in runs] == ["text", "image", "audio"]
    assert runs[1]["text"] == "[EDIT][IMG0][IMG1][IMG2][IMG3]"
    assert runs[2]["text"] == "".join(f"[AUD{place}]" for place in range(8))


def _asked(tmp_path: Path, conversation: Conversation, wished: Sampling) -> dict[str, Any]:
    return again.body(conversation, wished, API, Room("id", tmp_path, conversation).file_of)


@pytest.mark.parametrize("wished", [WISHED, replace(WISHED, steps=9, guidance=2.5)])
def test_the_request_again_is_the_one_that_was_answered(wished: Sampling, tmp_path: Path) -> None:
    asked = ChatRequest.model_validate(_asked(tmp_path, TALK, wished))
    assert samplings(asked, API.modalities, ServerSettings()) == [WISHED]
    assert [message.role for message in asked.messages] == [message.role for message in TALK]
    assert asked.messages[2].content == "More"


def test_what_was_not_wished_for_is_not_asked_for(tmp_path: Path) -> None:
    assert set(_asked(tmp_path, TALK, Sampling())) == {"model", "messages", "seed", "max_completion_tokens"}


@pytest.mark.parametrize("words", ['it\'s "$HOME" `ls` \\', "two\nJSON\nlines", "Zürich 東京 🐈", "x " * 100])
def test_words_are_typed_as_they_were_said(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = _asked(tmp_path, Conversation().say(words), WISHED)
    command, _, rest = again.for_curl(asked, API).partition("<<'JSON'\n")
    assert command.startswith("curl http://127.0.0.1:8000/v1/chat/completions ")
    assert json.loads(rest.removesuffix("\nJSON\n")) == asked
    sent: dict[str, Any] = {}

    def create(self: Any, *, extra_body: dict[str, Any], **given: Any) -> Any:
        sent.update(given, **extra_body)
        raise InterruptedError

    monkeypatch.setattr("openai.resources.chat.completions.Completions.create", create)
    with pytest.raises(InterruptedError):
        exec(again.in_python(asked, API), {})
    assert sent == asked


def test_a_large_file_is_named_and_a_small_one_stands_in_the_request(tmp_path: Path) -> None:
    small, large = tmp_path / "small.png", tmp_path / "large.png"
    small.write_bytes(b"small")
    large.write_bytes(bytes(again.SMALL_BYTES + 1))
    given = Conversation().say([picture(), picture((0, 0, 255)), "Which?"])
    files = dict(zip((medium.digest for medium in given.media), (small, large), strict=True))
    asked = again.body(given, Sampling(), API, lambda medium: files[medium.digest])
    urls = [part["image_url"]["url"] for part in asked["messages"][0]["content"][:2]]
    assert urls == [
        "data:image/png;base64,c21hbGw=",
        "data:image/png;base64,<the base64 of large.png goes here>",
    ]
    assert again.left_out(given, lambda medium: files[medium.digest]) == ["large.png"]


def test_a_key_is_a_variable_and_never_a_key() -> None:
    api = again.Api(API.base, "nano", API.modalities, has_keys=True)
    assert '-H "Authorization: Bearer $NEXTGPT_API_KEY"' in again.for_curl({}, api)
    assert 'api_key=os.environ["NEXTGPT_API_KEY"]' in again.in_python({}, api)
    assert "KEY" not in again.for_curl({}, API)


def test_an_act_of_another_form_is_refused() -> None:
    assert read_act({"do": "say", "room": "r", "text": "hi", "wishes": {"seed": 3}}).wishes.seed == 3
    for sent in (None, [], {"do": "say"}, {"do": "fly", "room": "r"}, {"do": "say", "room": "r", "other": 1}):
        with pytest.raises(ConversationError, match="something else than expected"):
            read_act(sent)


def test_a_policy_names_the_scripts_of_its_page_and_no_others() -> None:
    allowed = policy(b'<script>one()</script><script src="two.js"></script>')
    assert allowed.count("'sha256-") == 1
    assert "unsafe-inline" not in allowed.split("style-src")[0]
    assert "http" not in allowed


def test_a_room_is_found_again_by_its_id_alone() -> None:
    rooms = Rooms(most=5, keep_s=60)
    room = rooms.enter(None)
    assert rooms.enter(room.id) is room
    assert rooms.find(room.id) is room
    assert rooms.find("0" * 32) is None
    assert rooms.enter("0" * 32) is not room
    assert rooms.enter("../etc").id != "../etc"
    rooms.close()


def test_a_file_is_one_that_was_attached_or_said(tmp_path: Path) -> None:
    room = Room("id", tmp_path, TALK)
    assert room.file(file_name(picture((0, 255, 0)))).read_bytes()[:4] == b"\x89PNG"
    room.attach(sound(), most=1)
    room.attach(film(), most=1)
    assert room.medium(file_name(film())).modality == "video"
    for name in ("../../etc/passwd", "image-00.png"):
        with pytest.raises(ConversationError, match="not kept any more"):
            room.file(name)


def test_a_room_that_is_left_is_gone_with_its_files() -> None:
    rooms = Rooms(most=2, keep_s=60)
    room = rooms.enter(None)
    rooms.leave(room.id)
    assert rooms.find(room.id) is None
    assert not room.folder.exists()
    rooms.close()


def test_the_longest_unseen_room_makes_place_with_its_files() -> None:
    rooms = Rooms(most=2, keep_s=60)
    first = rooms.enter(None)
    first.attach(picture(), most=1)
    assert first.file(file_name(picture())).exists()
    for _ in range(2):
        rooms.enter(None)
    assert not first.folder.exists()
    assert rooms.enter(first.id) is not first
    rooms.close()


def test_media_of_all_rooms_stay_within_a_budget() -> None:
    rooms = Rooms(most=10, keep_s=60, most_bytes=400)
    first = rooms.enter(None)
    first.attach(picture(), most=1)
    assert first.size_bytes == 192
    second = rooms.enter(None)
    second.attach(film(), most=1)
    third = rooms.enter(None)
    assert [rooms.find(room.id) is room for room in (first, second, third)] == [False, False, True]
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


def test_a_slower_stream_leaves_out_what_is_old_and_never_the_last() -> None:
    async def source(closed: list[bool]) -> AsyncIterator[int]:
        try:
            for number in (1, 2, 3):
                yield number
            await asyncio.sleep(0.2)
            yield 4
            raise ValueError("after four")
        finally:
            closed.append(True)

    async def told() -> list[int]:
        heard: list[int] = []
        with pytest.raises(ValueError, match="after four"):
            async for number in newest(source([]), 0.05):
                heard.append(number)
        return heard

    async def left() -> list[bool]:
        closed: list[bool] = []
        async with aclosing(newest(source(closed), 0.01)) as stream:
            async for _ in stream:
                break
        return closed

    assert asyncio.run(told()) == [3, 4]
    assert asyncio.run(left()) == [True]
