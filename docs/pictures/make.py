"""Generate the image of the README: held-out requests and the media that nano generates for them.

Run ``python docs/pictures/make.py`` in the project's environment; it writes ``nano.png`` beside itself.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageDraw
import torch

from nextgpt import Conversation, NextGPT
from nextgpt.message import Audio, Image, Medium, Video
from nextgpt.miniworld.language import Dialogue, sample_dialogue
from nextgpt.model.synthesis.mel import log_mel

TASKS = ("text_to_image",) * 6 + ("text_to_audio",) * 2 + ("text_to_video",) * 4
SEED = 11
TILE_PX, COLUMNS, CAPTION_PX, FRAMES = 160, 6, 44, 4


def main() -> None:
    """Generate all media and save the image."""
    rng = np.random.default_rng(SEED)
    dialogues = [sample_dialogue(rng, "test", task=task) for task in TASKS]
    conversations = [Conversation().with_message(words(dialogue)) for dialogue in dialogues]
    replies = NextGPT.from_pretrained("nano").chat_batch(conversations)
    tiles = [
        tile(words(dialogue), next((part for part in reply.parts if not hasattr(part, "text")), None))
        for dialogue, reply in zip(dialogues, replies, strict=True)
    ]
    rows = [np.concatenate(tiles[i : i + COLUMNS], axis=1) for i in range(0, len(tiles), COLUMNS)]
    PIL.Image.fromarray(np.concatenate(rows)).save(Path(__file__).with_name("nano.png"), optimize=True)


def words(dialogue: Dialogue) -> str:
    """Return the text of the last request."""
    return "".join(say for say in dialogue.turns[-1].user if isinstance(say, str))


def tile(caption: str, medium: Medium | None) -> np.ndarray:
    """Return a medium under its request, as pixels (H, W, 3)."""
    canvas = PIL.Image.new("RGB", (TILE_PX + 8, TILE_PX + CAPTION_PX), "white")
    drawing = PIL.ImageDraw.Draw(canvas)
    drawing.text((4, 4), "\n".join(textwrap.wrap(caption, 27)[:3]), fill="black")
    if medium is not None:
        canvas.paste(look(medium).resize((TILE_PX, TILE_PX), PIL.Image.Resampling.BICUBIC), (4, CAPTION_PX))
    return np.asarray(canvas)


def look(medium: Medium) -> PIL.Image.Image:
    """Return an image of a medium: audio as a spectrogram, video as four frames."""
    if isinstance(medium, Image):
        return medium.image
    if isinstance(medium, Audio):
        mel = log_mel(torch.from_numpy(medium.samples.mean(axis=0, keepdims=True)))[0].flip(0)
        return PIL.Image.fromarray(((mel + 1) * 127.5).clamp(0, 255).byte().numpy()).convert("RGB")
    assert isinstance(medium, Video)
    chosen = medium.frames[np.linspace(0, len(medium.frames) - 1, FRAMES).astype(int)]
    return PIL.Image.fromarray(np.concatenate([np.concatenate(chosen[:2], 1), np.concatenate(chosen[2:], 1)]))


if __name__ == "__main__":
    main()
