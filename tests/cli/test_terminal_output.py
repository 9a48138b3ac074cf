from __future__ import annotations

import base64
import io
import re

import numpy as np
import PIL.Image
import pytest

from nextgpt.cli.terminal_output import (
    KITTY_CHUNK,
    Terminal,
    detect_terminal,
    filmstrip,
    half_blocks,
    iterm,
    kitty,
    printable,
    waveform,
)
from nextgpt.message import Audio, Video
from nextgpt.testing.scripted_model import tiny_audio, tiny_image, tiny_video


class Tty(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environment", "protocol"),
    [
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, "truecolor"),
        ({"TERM": "xterm-256color", "COLORTERM": "24bit"}, "truecolor"),
        ({"TERM": "xterm-256color"}, "256"),
        ({"TERM": "linux"}, "none"),
        ({"TERM": "dumb", "COLORTERM": "truecolor"}, "none"),
        ({}, "none"),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor", "NO_COLOR": "1"}, "none"),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor", "NO_COLOR": ""}, "truecolor"),
        ({"TERM": "xterm-kitty", "COLORTERM": "truecolor"}, "kitty"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, "iterm"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, "iterm"),
        ({"TERM": "screen-256color", "TERM_PROGRAM": "iTerm.app"}, "256"),
        ({"TERM": "xterm-kitty", "TMUX": "/tmp/x", "COLORTERM": "truecolor"}, "truecolor"),
    ],
)
def test_the_drawing_is_what_the_terminal_announces(environment: dict[str, str], protocol: str) -> None:
    assert detect_terminal(Tty(), environment).protocol == protocol


def test_nothing_is_drawn_where_output_is_no_terminal() -> None:
    assert detect_terminal(io.StringIO(), {"TERM": "xterm-kitty"}) == Terminal("none", has_blocks=False)


def test_nothing_is_drawn_where_the_encoding_has_no_blocks() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    stream.isatty = lambda: True
    assert detect_terminal(stream, {"TERM": "xterm-256color"}) == Terminal("none", has_blocks=False)


def test_half_blocks_hold_two_rows_of_pixels_in_a_line() -> None:
    pixels = np.array([[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [10, 11, 12]]], dtype=np.uint8)
    drawn = half_blocks(PIL.Image.fromarray(pixels), columns=10)
    assert drawn == "\x1b[38;2;1;2;3;48;2;7;8;9m▀\x1b[38;2;4;5;6;48;2;10;11;12m▀\x1b[0m\n"


def test_a_colour_is_named_once_where_it_goes_on() -> None:
    drawn = half_blocks(tiny_image((9, 8, 7)).image, columns=8)
    assert drawn == "\x1b[38;2;9;8;7;48;2;9;8;7m" + "▀" * 8 + "\x1b[0m\n" + drawn[drawn.index("\n") + 1 :]
    assert drawn.count("▀") == 8 * 4


@pytest.mark.parametrize(
    ("colour", "code"),
    [((255, 0, 0), 196), ((0, 0, 255), 21), ((255, 255, 255), 231), ((0, 0, 0), 16), ((128, 128, 128), 244)],
)
def test_256_colours_take_the_nearest(colour: tuple[int, int, int], code: int) -> None:
    drawn = half_blocks(tiny_image(colour).image, columns=1, is_truecolor=False)
    assert drawn.startswith(f"\x1b[38;5;{code};48;5;{code}m")


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (1, 1), (3, 1), (1, 999)])
def test_a_picture_is_never_wider_than_asked(size: tuple[int, int]) -> None:
    lines = half_blocks(PIL.Image.new("RGB", size), columns=20).splitlines()
    assert lines and all(line.count("▀") <= 20 for line in lines)


def test_a_narrow_terminal_narrows_the_picture() -> None:
    terminal = Terminal("truecolor", has_blocks=True, columns=5)
    assert max(line.count("▀") for line in terminal.draw(tiny_image()).splitlines()) == 4


def test_kitty_gets_the_png_in_chunks_of_which_the_last_says_so() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    drawn = kitty(PIL.Image.fromarray(noise), columns=30)
    commands = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", drawn)
    assert commands[0][0] == "a=T,f=100,q=2,c=30,m=1" and commands[-1][0] == "m=0"
    assert all(len(data) <= KITTY_CHUNK for _, data in commands)
    sent = PIL.Image.open(io.BytesIO(base64.b64decode("".join(data for _, data in commands))))
    assert np.array_equal(np.asarray(sent), noise)


def test_iterm_gets_the_png_at_once() -> None:
    drawn = iterm(tiny_image().image, columns=30)
    head, data = drawn.removesuffix("\a\n").split(":")
    assert head == "\x1b]1337;File=inline=1;width=30;preserveAspectRatio=1"
    assert PIL.Image.open(io.BytesIO(base64.b64decode(data))).size == (8, 8)


def test_a_waveform_follows_the_loudness() -> None:
    wave = waveform(tiny_audio(), columns=8)
    assert len(wave) == 8 and wave[0] == "█" and wave[-1] < wave[0]


@pytest.mark.parametrize("samples", [0, 3, 1000])
def test_silence_is_an_empty_line_of_full_length(samples: int) -> None:
    assert waveform(Audio(np.zeros((2, samples), dtype=np.float32), 16_000), columns=12) == " " * 12


def test_a_filmstrip_shows_frames_from_first_to_last() -> None:
    strip = np.asarray(filmstrip(tiny_video(), frames=2))
    assert strip.shape == (8, 8 + 2 + 8, 3)
    assert (strip[0, 0, 0], strip[0, 9, 0], strip[0, -1, 0]) == (0, 0, 240)


def test_a_film_with_sound_shows_both() -> None:
    shown = Terminal("truecolor", has_blocks=True).draw(Video(tiny_video().frames, 8.0, tiny_audio()))
    assert "▀" in shown and shown.endswith(" 0.1 s\n")


def test_a_terminal_without_colours_still_shows_sound() -> None:
    terminal = Terminal("none", has_blocks=True)
    assert (terminal.draw(tiny_image()), terminal.draw(tiny_video())) == ("", "")
    assert "█" in terminal.draw(tiny_audio())


def test_control_characters_never_reach_the_terminal() -> None:
    assert printable("a\x1b[2Jb\r\x07\x9bc\ud800\n\td") == "a[2Jbc\n\td"


def test_letters_of_all_scripts_and_joined_emoji_do() -> None:
    text = "Grüße 你好 שלום 👩\u200d🚀 ❤\ufe0f"
    assert printable(text) == text
