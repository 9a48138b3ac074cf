"""The process that decodes: it brings media back whole, and what kills it harms nobody else."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from nextgpt.errors import MediaError
from nextgpt.media.limits import MediaLimits
from nextgpt.message import Audio, Image, Video
from nextgpt.serve.media_decoder import SandboxedDecoder
from nextgpt.testing.scripted_model import tiny_audio, tiny_image, tiny_video


@pytest.fixture(scope="module")
def decoder() -> Iterator[SandboxedDecoder]:
    made = SandboxedDecoder(MediaLimits(pixels=10_000), memory_bytes=2 * 2**30)
    yield made
    made.close()


def test_media_come_back_as_they_are(decoder: SandboxedDecoder, media_bytes: dict[str, bytes]):
    image, audio = (decoder.decode_sync(name, media_bytes[name]) for name in ("image", "audio"))
    assert isinstance(image, Image) and image.digest == tiny_image().digest
    assert isinstance(audio, Audio) and audio.samples.shape == tiny_audio().samples.shape
    video = decoder.decode_sync("video", media_bytes["video"])
    assert isinstance(video, Video) and video.fps == 8.0
    assert np.abs(video.frames.astype(int) - tiny_video().frames).max() < 16


def test_without_a_modality_the_content_decides(decoder: SandboxedDecoder, media_bytes: dict[str, bytes]):
    for name, content in media_bytes.items():
        assert decoder.decode_sync(None, content).modality == name


def test_what_cannot_be_decoded_is_told_in_words(decoder: SandboxedDecoder, media_bytes: dict[str, bytes]):
    with pytest.raises(MediaError, match="expected"):
        decoder.decode_sync("image", media_bytes["image"][:30])
    with pytest.raises(MediaError, match="expected"):
        decoder.decode_sync("audio", media_bytes["image"])


def test_a_worker_that_died_is_replaced(decoder: SandboxedDecoder, media_bytes: dict[str, bytes]):
    decoder.decode_sync("image", media_bytes["image"])
    assert decoder._process is not None
    os.kill(decoder._process.pid, signal.SIGKILL)
    decoder._process.wait()
    assert isinstance(decoder.decode_sync("image", media_bytes["image"]), Image)


def test_a_worker_that_hangs_is_ended(
    decoder: SandboxedDecoder, media_bytes: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
):
    decoder.decode_sync("image", media_bytes["image"])
    assert decoder._process is not None
    os.kill(decoder._process.pid, signal.SIGSTOP)
    monkeypatch.setattr("nextgpt.serve.media_decoder.TIMEOUT_MARGIN_S", 0.2)
    monkeypatch.setattr(decoder, "limits", MediaLimits(pixels=10_000, time_s=0.2))
    with pytest.raises(MediaError, match="too much time or memory"):
        decoder.decode_sync("image", media_bytes["image"])
    monkeypatch.undo()
    assert isinstance(decoder.decode_sync("image", media_bytes["image"]), Image)


def test_a_worker_has_no_secrets_and_bounded_memory(monkeypatch: pytest.MonkeyPatch, media_bytes: dict[str, bytes]):
    monkeypatch.setenv("NEXTGPT_API_KEY", "secret")
    decoder = SandboxedDecoder(MediaLimits(), memory_bytes=3 * 2**30)
    decoder.decode_sync("image", media_bytes["image"])
    assert decoder._process is not None
    with Path(f"/proc/{decoder._process.pid}/environ").open() as file:
        assert "secret" not in file.read()
    with Path(f"/proc/{decoder._process.pid}/limits").open() as file:
        assert str(3 * 2**30) in next(line for line in file if line.startswith("Max address space"))
    decoder.close()
