"""Terminal output of a chat: text and media on standard output, progress and errors on standard error.

Images are drawn by the terminal's own protocol or as half blocks, audio as a waveform, video as a strip of frames.
"""

from __future__ import annotations

import base64
import io
import os
import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from io import TextIOBase, TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from rich.console import Console

from nextgpt.cli.progress import ProgressBars
from nextgpt.message import (
    Attribution,
    Audio,
    DenoisingProgress,
    Event,
    Image,
    Medium,
    Reply,
    ReplyFinished,
    TextDelta,
    Video,
    media_filename,
)

if TYPE_CHECKING:
    import PIL.Image

ImageProtocol = Literal["kitty", "iterm", "truecolor", "256", "none"]
"""The terminal's own protocol, colored half blocks, or no images."""

IMAGE_COLUMNS = 48
FILMSTRIP_FRAMES = 5
FILMSTRIP_GAP_PX = 2
WAVEFORM_COLUMNS = 48
BARS = " ▁▂▃▄▅▆▇█"
RESET = "\x1b[0m"
KITTY_CHUNK = 4096
"""Maximum base64 characters per command of the kitty protocol."""


@dataclass(frozen=True)
class Terminal:
    """The abilities of a terminal."""

    protocol: ImageProtocol
    has_blocks: bool
    """Block characters can be printed, with or without colors."""
    columns: int = 80

    def draw(self, medium: Medium) -> str:
        """Return the lines that show ``medium``, ending in a newline; empty if the terminal cannot."""
        return _DRAW[medium.modality](self, medium)

    def draw_image(self, image: PIL.Image.Image, columns: int = IMAGE_COLUMNS) -> str:
        """Draw an image at most ``columns`` wide."""
        columns = min(columns, max(1, self.columns - 1))
        if self.protocol == "none":
            return ""
        if self.protocol == "kitty":
            return kitty(image, columns)
        if self.protocol == "iterm":
            return iterm(image, columns)
        return half_blocks(image, columns, is_truecolor=self.protocol == "truecolor")


class TerminalOutput:
    """Shows replies while they are generated."""

    def __init__(self, out: TextIOBase, err: TextIOBase, terminal: Terminal) -> None:
        self._out = out
        self._console = Console(file=err, highlight=False, markup=False, soft_wrap=True)
        self._terminal = terminal
        self._is_midline = False

    def stream(self, events: Iterator[Event], folder: Path) -> Reply:
        """Show a reply as its events arrive, and write its media under ``folder``; return the complete reply."""
        modalities: list[str] = []  # of the parts so far
        with ProgressBars(self._console, lines="never") as bars:
            for event in events:
                if isinstance(event, DenoisingProgress):
                    bars.update(event.modality, event.step, event.total)
                    continue
                bars.clear()
                if isinstance(event, ReplyFinished):
                    self._end(event.reply)
                    return event.reply
                if isinstance(event, TextDelta):
                    self._write(event.text)
                    modalities += [] if modalities[-1:] == ["text"] else ["text"]
                else:
                    self.show(event.medium, _save(event.medium, folder, len(modalities)), event.attribution)
                    modalities.append(event.medium.modality)
        raise AssertionError("a reply ends with ReplyFinished")

    def status(self, text: str) -> AbstractContextManager[object]:
        """Show a spinner with ``text``; nothing if standard error is no terminal."""
        return self._console.status(text) if self._console.is_terminal else nullcontext()

    def show(self, medium: Medium, path: Path, attribution: Attribution | None = None) -> None:
        """Show a medium, the path of its file, and the origin of a retrieved one."""
        self._begin_line()
        self._out.write(self._terminal.draw(medium))
        self.print(f"[{medium.modality}: {path}]")
        if attribution is not None:
            source, licence = attribution.source or "unknown", attribution.licence or "unknown"
            self.print(f"[retrieved: {attribution.caption}; source: {source}; licence: {licence}]")

    def print(self, text: str) -> None:
        """Print lines of the chat itself, not of the model."""
        self._begin_line()
        self._write(text + "\n")

    def error(self, problem: object) -> None:
        """Print one line on standard error."""
        self._begin_line()
        self._console.print(" ".join(printable(str(problem)).split()), style="red")

    def _end(self, reply: Reply) -> None:
        self._begin_line()
        for dropped in reply.dropped:
            self.error(f"Left out: {dropped}")

    def _begin_line(self) -> None:
        if self._is_midline:
            self._write("\n")

    def _write(self, text: str) -> None:
        self._out.write(printable(text))
        self._out.flush()
        self._is_midline = bool(text) and not text.endswith("\n")


def standard_output() -> TerminalOutput:
    """Return the output for the terminal that the program runs in."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # characters that the terminal's encoding lacks
    columns = shutil.get_terminal_size().columns
    return TerminalOutput(sys.stdout, sys.stderr, detect_terminal(sys.stdout, os.environ, columns))


def _save(medium: Medium, folder: Path, index: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return medium.save(folder / media_filename(index, medium))


def detect_terminal(stream: io.TextIOBase, environment: Mapping[str, str], columns: int = 80) -> Terminal:
    """Detect the abilities of the terminal behind ``stream`` from the environment variables it sets."""
    term = environment.get("TERM", "")
    is_utf8 = "utf" in (getattr(stream, "encoding", "") or "").lower()
    if not stream.isatty() or not is_utf8 or term in ("", "dumb"):
        return Terminal("none", has_blocks=False, columns=columns)
    return Terminal(_image_protocol(term, environment), has_blocks=True, columns=columns)


def _image_protocol(term: str, environment: Mapping[str, str]) -> ImageProtocol:
    if environment.get("NO_COLOR"):  # https://no-color.org
        return "none"
    program = environment.get("TERM_PROGRAM", "")
    if "TMUX" not in environment and not term.startswith("screen"):  # tmux and screen drop the protocols
        if term == "xterm-kitty" or program == "ghostty":
            return "kitty"
        if program in ("iTerm.app", "WezTerm"):
            return "iterm"
    if environment.get("COLORTERM") in ("truecolor", "24bit"):
        return "truecolor"
    return "256" if "256color" in term else "none"


def half_blocks(image: PIL.Image.Image, columns: int, *, is_truecolor: bool = True) -> str:
    """Draw two pixels per character: the upper half in the foreground color, the lower in the background color."""
    pixels = _fit(image, columns)  # (H, W, 3), H even
    code = _truecolor_code if is_truecolor else _palette_code
    return "".join(_block_line(upper, lower, code) for upper, lower in zip(pixels[::2], pixels[1::2], strict=True))


def _fit(image: PIL.Image.Image, columns: int) -> np.ndarray:
    import PIL.Image

    width = min(columns, image.width)
    height = max(2, round(image.height * width / image.width / 2) * 2)
    return np.asarray(image.convert("RGB").resize((width, height), PIL.Image.Resampling.BOX))


def _block_line(upper: np.ndarray, lower: np.ndarray, code: Callable[[int, int, int], str]) -> str:
    """Return one line of text for two lines of pixels; color codes are repeated only on change."""
    line, last = [], None
    for above, below in zip(upper.tolist(), lower.tolist(), strict=True):
        colours = f"\x1b[38;{code(*above)};48;{code(*below)}m"
        line.append("▀" if colours == last else colours + "▀")
        last = colours
    return "".join(line) + RESET + "\n"


def _truecolor_code(red: int, green: int, blue: int) -> str:
    return f"2;{red};{green};{blue}"


def _palette_code(red: int, green: int, blue: int) -> str:
    """Return the nearest of xterm's 256 colors: from its gray ramp or its 6 x 6 x 6 cube."""
    if max(red, green, blue) - min(red, green, blue) < 8 and 8 <= red < 238:
        return f"5;{232 + (red - 8) // 10}"
    cube = [0 if level < 48 else 1 if level < 115 else (level - 35) // 40 for level in (red, green, blue)]
    return f"5;{16 + 36 * cube[0] + 6 * cube[1] + cube[2]}"


def kitty(image: PIL.Image.Image, columns: int) -> str:
    """Encode an image for kitty's graphics protocol (sw.kovidgoyal.net/kitty/graphics-protocol), no response asked."""
    data = _png_base64(image)
    chunks = [data[start : start + KITTY_CHUNK] for start in range(0, len(data), KITTY_CHUNK)]
    commands = []
    for index, chunk in enumerate(chunks):
        control = f"a=T,f=100,q=2,c={columns}," if index == 0 else ""
        commands.append(f"\x1b_G{control}m={int(index + 1 < len(chunks))};{chunk}\x1b\\")
    return "".join(commands) + "\n"


def iterm(image: PIL.Image.Image, columns: int) -> str:
    """Encode an image for iTerm2's inline image protocol (iterm2.com/documentation-images.html)."""
    return f"\x1b]1337;File=inline=1;width={columns};preserveAspectRatio=1:{_png_base64(image)}\a\n"


def _png_base64(image: PIL.Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def waveform(audio: Audio, columns: int = WAVEFORM_COLUMNS) -> str:
    """Draw audio as one line of bars: the peak of each of ``columns`` intervals, scaled to the overall peak."""
    loudness = np.abs(audio.samples).max(axis=0, initial=0.0)  # (samples,)
    peaks = [float(interval.max(initial=0.0)) for interval in np.array_split(loudness, columns)]
    loudest = max(peaks) or 1.0
    return "".join(BARS[round(peak / loudest * (len(BARS) - 1))] for peak in peaks)


def filmstrip(video: Video, frames: int = FILMSTRIP_FRAMES) -> PIL.Image.Image:
    """Join frames that are spread evenly over a video, side by side."""
    import PIL.Image

    from nextgpt.media import uniform_indices

    selected = video.frames[uniform_indices(len(video.frames), min(frames, len(video.frames)))]  # (F, H, W, 3)
    gap = np.zeros((selected.shape[1], FILMSTRIP_GAP_PX, 3), dtype=np.uint8)
    row = [piece for frame in selected for piece in (frame, gap)][:-1]
    return PIL.Image.fromarray(np.concatenate(row, axis=1))


def printable(text: str) -> str:
    """Remove control characters, with which a model or a file name could steer the terminal."""
    return "".join(letter for letter in text if letter in "\n\t" or unicodedata.category(letter) not in ("Cc", "Cs"))


def _draw_image(terminal: Terminal, medium: Image) -> str:
    return terminal.draw_image(medium.image)


def _draw_audio(terminal: Terminal, medium: Audio) -> str:
    if not terminal.has_blocks:
        return ""
    columns = max(1, min(WAVEFORM_COLUMNS, terminal.columns - 10))
    return f"{waveform(medium, columns)} {medium.duration_s:.1f} s\n"


def _draw_video(terminal: Terminal, medium: Video) -> str:
    strip = terminal.draw_image(filmstrip(medium), columns=terminal.columns)
    return strip + (_draw_audio(terminal, medium.audio) if medium.audio else "")


_DRAW = {"image": _draw_image, "audio": _draw_audio, "video": _draw_video}
