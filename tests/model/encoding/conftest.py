"""A tiny encoder and media that it takes."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers

from nextgpt.message import Audio, Image, Video
from nextgpt.model.encoding import AudioTower, EncoderConfig, ImageBind, TextTower, VisionTower

WORDS = ("<pad>", "<start>", "<end>", "<unknown>", "a", "red", "cat", "sings")


@pytest.fixture
def tiny_config() -> EncoderConfig:
    """Every tower of NExT-GPT, one or two blocks each."""
    return EncoderConfig(
        width=16,
        vision=VisionTower(width=24, blocks=2, heads=4, size_px=32, patch_px=8, frames=4, clips=2),
        text=TextTower(
            width=16, blocks=2, heads=2, vocabulary=len(WORDS), positions=6, start_token_id=1, end_token_id=2
        ),
        audio=AudioTower(width=16, blocks=1, heads=2, mel_bins=32, frames=64, clip_s=0.5),
    )


@pytest.fixture
def tokenizer() -> Tokenizer:
    """One id a word."""
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unknown>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return made


@pytest.fixture
def encoder(tiny_config: EncoderConfig, tokenizer: Tokenizer) -> ImageBind:
    """The tiny encoder with random weights."""
    torch.manual_seed(0)
    return ImageBind(tiny_config, tokenizer).eval()


@pytest.fixture
def picture() -> Image:
    """48 x 32 pixels of noise."""
    return Image(PIL.Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)))


@pytest.fixture
def sound() -> Audio:
    """1.2 s of noise in stereo at 8 kHz."""
    return Audio(np.random.default_rng(1).uniform(-0.5, 0.5, (2, 9600)).astype(np.float32), 8000)


@pytest.fixture
def film() -> Video:
    """4 s of noise, 32 x 40 pixels."""
    return Video(np.random.default_rng(2).integers(0, 256, (32, 40, 32, 3), dtype=np.uint8), 8.0)
