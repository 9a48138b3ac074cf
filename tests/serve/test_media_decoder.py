"""The process that decodes: it brings media back whole, and what kills it harms nobody else."""

from __future__ import annotations

import asyncio
import gc
import io
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from nextgpt.errors import MediaError
from nextgpt.media.limits import MediaLimits
from nextgpt.message import Audio, Image, Video
from nextgpt.serve.errors import ApiError
from nextgpt.serve.media_decoder import SandboxedDecoder
from nextgpt.serve.media_memory import DecodingBudget
from nextgpt.testing.scripted_model import tiny_audio, tiny_image, tiny_video


def budget(seconds: float = 60.0, size_bytes: int = 2**30) -> DecodingBudget:
    return DecodingBudget(seconds, size_bytes)


@pytest.fixture(scope="module")
def decoder() -> Iterator[SandboxedDecoder]:
    made = SandboxedDecoder(MediaLimits(pixels=10_000), memory_bytes=2 * 2**30)
    yield made
    made.close()


def first_process(decoder: SandboxedDecoder) -> subprocess.Popen[bytes]:
    process = decoder.workers[0].process
    assert process is not None
    return process


def test_media_come_back_as_they_are(decoder: SandboxedDecoder, media_bytes: dict[str, bytes]):
    image, audio = (decoder.decode_sync(name, media_bytes[name], budget()) for name in ("image", "audio"))
    assert isinstance(image, Image) and image.digest == tiny_image().digest
    assert isinstance(audio, Audio) and audio.samples.shape == tiny_audio().samples.shape
    video = decoder.decode_sync("video", media_bytes["video"], budget())
    assert isinstance(video, Video) and video.fps == 8.0
    assert np.abs(video.frames.astype(int) - tiny_video().frames).max() < 16


def test_without_a_modality_the_content_decides(decoder: SandboxedDecoder, media_bytes: dict[str, bytes]):
    for name, content in media_bytes.items():
        assert decoder.decode_sync(None, content, budget()).modality == name


def test_what_cannot_be_decoded_is_told_in_words(decoder: SandboxedDecoder, media_bytes: dict[str, bytes]):
    with pytest.raises(MediaError, match="expected"):
        decoder.decode_sync("image", media_bytes["image"][:30], budget())
    with pytest.raises(MediaError, match="expected"):
        decoder.decode_sync("audio", media_bytes["image"], budget())


def test_a_worker_that_died_is_replaced(decoder: SandboxedDecoder, media_bytes: dict[str, bytes]):
    decoder.decode_sync("image", media_bytes["image"], budget())
    process = first_process(decoder)
    process.kill()
    process.wait()
    assert isinstance(decoder.decode_sync("image", media_bytes["image"], budget()), Image)


def test_a_worker_that_hangs_is_ended(
    decoder: SandboxedDecoder, media_bytes: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
):
    decoder.decode_sync("image", media_bytes["image"], budget())
    os.kill(first_process(decoder).pid, signal.SIGSTOP)
    monkeypatch.setattr("nextgpt.serve.media_decoder.TIMEOUT_MARGIN_S", 0.2)
    monkeypatch.setattr(decoder, "limits", MediaLimits(pixels=10_000, time_s=0.2))
    with pytest.raises(MediaError, match="too much time or memory"):
        decoder.decode_sync("image", media_bytes["image"], budget())
    monkeypatch.undo()
    assert isinstance(decoder.decode_sync("image", media_bytes["image"], budget()), Image)


def test_a_worker_has_no_secrets_and_bounded_memory(monkeypatch: pytest.MonkeyPatch, media_bytes: dict[str, bytes]):
    monkeypatch.setenv("NEXTGPT_API_KEY", "secret")
    decoder = SandboxedDecoder(MediaLimits(), memory_bytes=3 * 2**30)
    decoder.decode_sync("image", media_bytes["image"], budget())
    pid = first_process(decoder).pid
    with Path(f"/proc/{pid}/environ").open() as file:
        assert "secret" not in file.read()
    with Path(f"/proc/{pid}/limits").open() as file:
        assert str(3 * 2**30) in next(line for line in file if line.startswith("Max address space"))
    decoder.close()


def test_large_images_are_scaled_down_in_the_worker() -> None:
    file = io.BytesIO()
    PIL.Image.new("RGB", (2000, 1000), "red").save(file, "PNG")
    decoder = SandboxedDecoder(MediaLimits(image_pixels=20_000), memory_bytes=2 * 2**30)
    image = decoder.decode_sync("image", file.getvalue(), budget())
    assert isinstance(image, Image) and image.image.size == (200, 100)
    assert image.image.getpixel((50, 50)) == (255, 0, 0)
    decoder.close()


def test_one_request_may_use_so_much_memory_and_time(decoder: SandboxedDecoder, media_bytes: dict[str, bytes]):
    video_bytes = tiny_video().frames.nbytes
    small = budget(size_bytes=video_bytes)
    image = decoder.decode_sync("image", media_bytes["image"], small)
    assert isinstance(image, Image) and small.size_bytes == video_bytes - 4 * image.image.width * image.image.height
    with pytest.raises(MediaError, match="The media of this request are too large"):
        decoder.decode_sync("video", media_bytes["video"], small)
    assert 0 < small.seconds < 60
    with pytest.raises(MediaError, match="The media of this request take too long to decode"):
        decoder.decode_sync("image", media_bytes["image"], budget(seconds=0.0))
    assert isinstance(decoder.decode_sync("image", media_bytes["image"], budget()), Image)


def test_all_requests_may_use_so_much_memory_until_their_media_are_gone(media_bytes: dict[str, bytes]):
    video_bytes = tiny_video().frames.nbytes
    decoder = SandboxedDecoder(MediaLimits(), memory_bytes=2 * 2**30, max_media_bytes=video_bytes * 3 // 2)
    first = decoder.decode_sync("video", media_bytes["video"], budget())
    with pytest.raises(ApiError) as refused:
        decoder.decode_sync("video", media_bytes["video"], budget())
    assert (refused.value.status_code, refused.value.code) == (429, "media_memory_full")
    del first, refused
    gc.collect()
    assert isinstance(decoder.decode_sync("video", media_bytes["video"], budget()), Video)
    decoder.close()


def test_a_file_that_takes_long_holds_up_no_other(media_bytes: dict[str, bytes]) -> None:
    decoder = SandboxedDecoder(MediaLimits(), memory_bytes=2 * 2**30)
    decoder.decode_sync("image", media_bytes["image"], budget())
    slow = first_process(decoder)
    os.kill(slow.pid, signal.SIGSTOP)

    async def decode_both() -> None:
        first = asyncio.create_task(decoder.decode("image", media_bytes["image"], budget()))
        await asyncio.sleep(0)
        assert isinstance(await decoder.decode("image", media_bytes["image"], budget()), Image)
        assert not first.done()
        os.kill(slow.pid, signal.SIGCONT)
        assert isinstance(await first, Image)

    asyncio.run(decode_both())
    decoder.close()


def test_waiting_requests_occupy_no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other work of the server needs the threads of the event loop."""
    decoder = SandboxedDecoder(MediaLimits(), memory_bytes=2 * 2**30)
    lock, active, most = threading.Lock(), 0, 0

    def decode_slowly(modality: str | None, content: bytes, budget: DecodingBudget) -> Image:
        nonlocal active, most
        with lock:
            active += 1
            most = max(most, active)
        time.sleep(0.01)
        with lock:
            active -= 1
        return tiny_image()

    monkeypatch.setattr(decoder, "decode_sync", decode_slowly)

    async def decode_many() -> None:
        await asyncio.gather(*(decoder.decode("image", b"", budget()) for _ in range(20)))

    asyncio.run(decode_many())
    assert most == len(decoder.workers)
