"""Media as a terminal can show them: pictures by its protocol or as half blocks, sounds as waves, films as strips.

Everything here turns a medium into the text that shows it; nothing is written anywhere.
"""

from __future__ import annotations

import base64
import io
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from nextgpt.message import Audio, Image, Medium, Video

if TYPE_CHECKING:
    import PIL.Image

Drawing = Literal["kitty", "iterm", "truecolor", "256", "none"]
"""How pictures are drawn: by the terminal's own protocol, as coloured half blocks, or not at all."""

PICTURE_COLUMNS = 48
STRIP_FRAMES = 5
STRIP_GAP_PX = 2
WAVE_COLUMNS = 48
BARS = " ▁▂▃▄▅▆▇█"
RESET = "\x1b[0m"
KITTY_CHUNK = 4096
"""Characters of base64 that one command of the kitty protocol may carry."""


@dataclass(frozen=True)
class Terminal:
    """What the terminal at the other end can do."""

    drawing: Drawing
    has_blocks: bool
    """Block characters can be printed, colours or not."""
    columns: int = 80

    def show(self, medium: Medium) -> str:
        """The lines that show ``medium``, ending in a newline; nothing where the terminal cannot."""
        return _SHOW[medium.modality](self, medium)

    def picture(self, picture: PIL.Image.Image, columns: int = PICTURE_COLUMNS) -> str:
        """A picture at most ``columns`` wide."""
        columns = min(columns, max(1, self.columns - 1))
        if self.drawing == "none":
            return ""
        if self.drawing == "kitty":
            return kitty(picture, columns)
        if self.drawing == "iterm":
            return iterm(picture, columns)
        return half_blocks(picture, columns, is_truecolor=self.drawing == "truecolor")


def detect(stream: io.TextIOBase, environment: Mapping[str, str], columns: int = 80) -> Terminal:
    """What can be shown on ``stream``, judged by what its terminal announces in the environment."""
    kind = environment.get("TERM", "")
    speaks_utf8 = "utf" in (getattr(stream, "encoding", "") or "").lower()
    if not stream.isatty() or not speaks_utf8 or kind in ("", "dumb"):
        return Terminal("none", has_blocks=False, columns=columns)
    return Terminal(_drawing(kind, environment), has_blocks=True, columns=columns)


def _drawing(kind: str, environment: Mapping[str, str]) -> Drawing:
    if environment.get("NO_COLOR"):  # https://no-color.org
        return "none"
    program = environment.get("TERM_PROGRAM", "")
    is_multiplexed = "TMUX" in environment or kind.startswith(
        "screen"
    )  # tmux and screen swallow the protocols
    if not is_multiplexed and (kind == "xterm-kitty" or program == "ghostty"):
        return "kitty"
    if not is_multiplexed and program in ("iTerm.app", "WezTerm"):
        return "iterm"
    if environment.get("COLORTERM") in ("truecolor", "24bit"):
        return "truecolor"
    return "256" if "256color" in kind else "none"


def half_blocks(picture: PIL.Image.Image, columns: int, *, is_truecolor: bool = True) -> str:
    """A picture in which every character is two pixels: the upper half in its colour, the lower on its background."""
    pixels = _fit(picture, columns)  # (H, W, 3), H even
    code = _truecolor if is_truecolor else _palette
    return "".join(
        _block_line(upper, lower, code) for upper, lower in zip(pixels[::2], pixels[1::2], strict=True)
    )


def _fit(picture: PIL.Image.Image, columns: int) -> np.ndarray:
    import PIL.Image

    width = min(columns, picture.width)
    height = max(2, round(picture.height * width / picture.width / 2) * 2)
    return np.asarray(picture.convert("RGB").resize((width, height), PIL.Image.Resampling.BOX))


def _block_line(upper: np.ndarray, lower: np.ndarray, code: Callable[[int, int, int], str]) -> str:
    """One line of text from two lines of pixels; a colour is named again only where it changes."""
    line, last = [], None
    for above, below in zip(upper.tolist(), lower.tolist(), strict=True):
        colours = f"\x1b[38;{code(*above)};48;{code(*below)}m"
        line.append("▀" if colours == last else colours + "▀")
        last = colours
    return "".join(line) + RESET + "\n"


def _truecolor(red: int, green: int, blue: int) -> str:
    return f"2;{red};{green};{blue}"


def _palette(red: int, green: int, blue: int) -> str:
    """The nearest of xterm's 256 colours: a grey of its ramp, or one of its 6 x 6 x 6 cube."""
    if max(red, green, blue) - min(red, green, blue) < 8 and 8 <= red < 238:
        return f"5;{232 + (red - 8) // 10}"
    cube = [0 if level < 48 else 1 if level < 115 else (level - 35) // 40 for level in (red, green, blue)]
    return f"5;{16 + 36 * cube[0] + 6 * cube[1] + cube[2]}"


def kitty(picture: PIL.Image.Image, columns: int) -> str:
    """A picture in kitty's graphics protocol (sw.kovidgoyal.net/kitty/graphics-protocol), without an answer."""
    data = _png(picture)
    chunks = [data[start : start + KITTY_CHUNK] for start in range(0, len(data), KITTY_CHUNK)]
    commands = []
    for index, chunk in enumerate(chunks):
        control = f"a=T,f=100,q=2,c={columns}," if index == 0 else ""
        commands.append(f"\x1b_G{control}m={int(index + 1 < len(chunks))};{chunk}\x1b\\")
    return "".join(commands) + "\n"


def iterm(picture: PIL.Image.Image, columns: int) -> str:
    """A picture in iTerm2's inline image protocol (iterm2.com/documentation-images.html)."""
    return f"\x1b]1337;File=inline=1;width={columns};preserveAspectRatio=1:{_png(picture)}\a\n"


def _png(picture: PIL.Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def waveform(audio: Audio, columns: int = WAVE_COLUMNS) -> str:
    """One line: the loudest sample of each of ``columns`` moments as a bar, scaled to the loudest of all."""
    loudness = np.abs(audio.samples).max(axis=0, initial=0.0)  # (samples,)
    peaks = [float(moment.max(initial=0.0)) for moment in np.array_split(loudness, columns)]
    loudest = max(peaks) or 1.0
    return "".join(BARS[round(peak / loudest * (len(BARS) - 1))] for peak in peaks)


def filmstrip(video: Video, frames: int = STRIP_FRAMES) -> PIL.Image.Image:
    """Frames spread evenly over a film, side by side."""
    import PIL.Image

    from nextgpt.media import uniform_indices

    chosen = video.frames[uniform_indices(len(video.frames), min(frames, len(video.frames)))]  # (F, H, W, 3)
    gap = np.zeros((chosen.shape[1], STRIP_GAP_PX, 3), dtype=np.uint8)
    row = [piece for frame in chosen for piece in (frame, gap)][:-1]
    return PIL.Image.fromarray(np.concatenate(row, axis=1))


def printable(text: str) -> str:
    """``text`` without control characters, with which a model or a file name could steer the terminal."""
    return "".join(
        letter for letter in text if letter in "\n\t" or unicodedata.category(letter) not in ("Cc", "Cs")
    )


def _show_image(terminal: Terminal, medium: Image) -> str:
    return terminal.picture(medium.image)


def _show_audio(terminal: Terminal, medium: Audio) -> str:
    if not terminal.has_blocks:
        return ""
    columns = max(1, min(WAVE_COLUMNS, terminal.columns - 10))
    return f"{waveform(medium, columns)} {medium.duration_s:.1f} s\n"


def _show_video(terminal: Terminal, medium: Video) -> str:
    strip = terminal.picture(filmstrip(medium), columns=terminal.columns)
    return strip + (_show_audio(terminal, medium.audio) if medium.audio else "")


_SHOW = {"image": _show_image, "audio": _show_audio, "video": _show_video}
