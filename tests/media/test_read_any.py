"""The content of a file decides the modality; only a missing stream leads to the next one."""

from __future__ import annotations

import av
import numpy as np
import pytest

from nextgpt.errors import MediaError, MissingStreamError
from nextgpt.media import MediaLimits, read_any, read_video, write_audio, write_image, write_video
from nextgpt.message import Audio, Image


@pytest.mark.parametrize(("modality", "suffix"), [("image", "png"), ("audio", "wav"), ("video", "mp4")])
def test_each_modality_is_read_as_itself(picture, sound, film, tmp_path, modality, suffix):
    write = {"image": write_image, "audio": write_audio, "video": write_video}[modality]
    medium = {"image": picture, "audio": sound, "video": film}[modality]
    path = write(medium, tmp_path / f"a.{suffix}")
    assert {read_any(path).modality, read_any(path.read_bytes()).modality} == {modality}


@pytest.fixture
def audio_only_mp4(tmp_path):
    path = tmp_path / "voice.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_a_video_container_with_audio_alone_is_audio(audio_only_mp4):
    assert isinstance(read_any(audio_only_mp4), Audio)
    with pytest.raises(MissingStreamError, match="holds no video"):
        read_video(audio_only_mp4)


def test_a_video_that_is_too_long_is_an_error_and_no_audio(film, tmp_path):
    path = write_video(film, tmp_path / "a.mp4")
    with pytest.raises(MediaError, match="frames or more") as caught:
        read_any(path, limits=MediaLimits(frames=4))
    assert not isinstance(caught.value, MissingStreamError)


def test_a_damaged_video_is_an_error_and_no_audio(film, tmp_path):
    content = write_video(film, tmp_path / "a.mp4").read_bytes()
    with pytest.raises(MediaError) as caught:
        read_any(content[:200])
    assert not isinstance(caught.value, MissingStreamError)


@pytest.mark.parametrize("content", [b"hello", b"%PDF-1.7", b"PK\3\4..."])
def test_other_content_is_refused(content):
    with pytest.raises(MediaError, match="expected an image, audio file or video"):
        read_any(content)


def test_a_gif_is_an_image(picture, tmp_path):
    assert isinstance(read_any(write_image(picture, tmp_path / "a.gif")), Image)
