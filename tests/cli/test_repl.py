from __future__ import annotations

import io
from pathlib import Path

import pytest

from nextgpt.cli.repl import MAX_LINE_LENGTH, Chat, read_lines
from nextgpt.conversation_file import read_conversation
from nextgpt.message import Sampling
from nextgpt.testing.scripted_model import ScriptedModel


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel()


@pytest.fixture
def chat(model: ScriptedModel, paper, tmp_path: Path) -> Chat:
    return Chat(lambda: model, paper.output(), tmp_path / "out", Sampling(seed=3))


def test_a_line_is_answered_in_speaking_order(chat: Chat, paper, tmp_path: Path) -> None:
    chat.run(["draw something\n"])
    out = tmp_path / "out" / "01"
    assert paper.out.getvalue() == (
        f"Look: here\n[image: {out / '01-image.png'}]\n[audio: {out / '02-audio.wav'}]\nNice?\n"
    )
    assert paper.err.getvalue() == "Left out: half a film\n"
    assert sorted(path.name for path in out.iterdir()) == ["01-image.png", "02-audio.wav"]


def test_turns_build_one_conversation(chat: Chat, model: ScriptedModel, tmp_path: Path) -> None:
    chat.run(["first", "", "   ", "second"])
    assert [message.text for message in model.received[1]] == ["first", "Look: here\nNice?", "second"]
    assert (tmp_path / "out" / "02" / "01-image.png").is_file()


def test_attached_media_go_with_the_next_message_only(
    chat: Chat, model: ScriptedModel, media_files: dict[str, Path]
) -> None:
    chat.run([*(f"/{modality} {path}" for modality, path in media_files.items()), "what is it?", "and now?"])
    assert [part.modality for part in model.received[0].messages[0].parts] == ["image", "audio", "video", "text"]
    assert [part.modality for part in model.received[1].messages[2].parts] == ["text"]


def test_what_was_lost_of_an_attached_file_is_said(chat: Chat, paper, media_files: dict[str, Path]) -> None:
    path = media_files["audio"]
    path.write_bytes(path.read_bytes()[:-400])
    chat.run([f"/audio {path}"])
    assert len(chat.attached) == 1 and "is damaged: it ends after " in paper.err.getvalue()


@pytest.mark.parametrize("form", ["{}", "'{}'", '"{}"'])
def test_a_path_with_spaces_may_be_quoted(chat: Chat, form: str, media_files: dict[str, Path]) -> None:
    chat.run(["/image " + form.format(media_files["image"])])
    assert len(chat.attached) == 1


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/image missing.png", "missing.png cannot be opened"),
        ("/image", "expected '/image FILE'"),
        ("/imag x", "Did you mean '/image'?"),
        ("/reset now", "expected '/reset'"),
        ("/save", "expected '/save DIR'"),
        ("/", "unknown"),
        ("/image ~nobody-of-that-name/x.png", "cannot be opened"),
        ("/save a\0b", "zero byte"),
        ("/save " + "x" * 5000, "cannot be written"),
        ("refuse", "Say something else."),
        ("interrupt", "Stopped"),
    ],
)
def test_what_fails_is_one_line_and_leaves_the_conversation_unharmed(
    chat: Chat, paper, model: ScriptedModel, line: str, said: str
) -> None:
    chat.run(["hello", line, "still there?"])
    problem = paper.err.getvalue().removeprefix("Left out: half a film\n").removesuffix("Left out: half a film\n")
    assert said in problem and problem.count("\n") == 1
    assert [message.text for message in model.received[-1]] == ["hello", "Look: here\nNice?", "still there?"]


def test_a_saved_conversation_can_be_loaded_again(chat: Chat, paper, tmp_path: Path) -> None:
    chat.run(["hello", f"/save {tmp_path / 'kept'}"])
    read = read_conversation(tmp_path / "kept" / "conversation.json")
    assert [part.modality for message in read for part in message.parts] == ["text", "text", "image", "audio", "text"]
    assert f"[saved: {tmp_path / 'kept' / 'conversation.json'}]" in paper.out.getvalue()


def test_reset_forgets_conversation_and_attachments(
    chat: Chat, model: ScriptedModel, media_files: dict[str, Path]
) -> None:
    chat.run(["hello", f"/image {media_files['image']}", "/reset", "again"])
    assert [message.text for message in model.received[-1]] == ["again"]
    assert model.received[-1].media == ()


def test_quit_ends_at_once(chat: Chat, model: ScriptedModel) -> None:
    chat.run(["/quit", "never"])
    assert model.received == []


def test_help_lists_every_command(chat: Chat, paper) -> None:
    chat.run(["/help"])
    listed = [line.split()[0] for line in paper.out.getvalue().splitlines()]
    assert listed == ["/image", "/audio", "/video", "/depth", "/thermal", "/imu", "/save", "/reset", "/help", "/quit"]


def test_bytes_that_are_no_text_do_not_end_the_chat() -> None:
    stream = io.TextIOWrapper(io.BytesIO(b"one\n\xff\xfe\nthree\n"), encoding="utf-8")
    assert list(read_lines(stream)) == ["one\n", "\ufffd\ufffd\n", "three\n"]


def test_an_endless_line_comes_in_pieces() -> None:
    assert [len(piece) for piece in read_lines(io.StringIO("x" * (MAX_LINE_LENGTH + 5)))] == [MAX_LINE_LENGTH, 5]


def test_lines_of_what_is_no_terminal_come_one_by_one_without_a_prompt(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(read_lines(io.StringIO("one\ntwo"))) == ["one\n", "two"]
    assert capsys.readouterr().out == ""
