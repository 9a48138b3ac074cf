"""Read and write video with FFmpeg through PyAV."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nextgpt.media.audio import resample
from nextgpt.media.limits import MediaLimits, media_error
from nextgpt.media.open_media import open_source
from nextgpt.media.save_media import WRITER, with_default_suffix, wrap_write_errors
from nextgpt.media.types import Audio, MediaSource, Video

if TYPE_CHECKING:
    from av.container import OutputContainer

_H264, _VP9 = "libx264", "libvpx-vp9"
_WRITE_CODECS = {".mp4": _H264, ".mov": _H264, ".mkv": _H264, ".webm": _VP9}
_CODEC_OPTIONS = {
    # Near-lossless: videos of 64x64 pixels are small anyway, and every pixel is visible. With AVX512, x264's mbtree
    # writes other bytes for the same frames at each call.
    _H264: {"crf": "10", "preset": "veryfast", "mbtree": "0"},
    _VP9: {"crf": "12", "b": "0", "deadline": "good", "cpu-used": "4"},
}
_SINGLE_THREAD_PIXELS = 256 * 256
"""Pixels per frame up to which more threads cost more than they save."""
_AUDIO_CODECS = {_H264: "aac", _VP9: "libopus"}
_AUDIO_RATES_HZ = {
    "aac": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
    "libopus": (8000, 12000, 16000, 24000, 48000),
}
_FALLBACK_RATE_HZ = 48_000
# AAC adds up to two blocks of silence at the end.
_PADDING_SAMPLES = 2048


def read_video(source: MediaSource, *, limits: MediaLimits | None = None) -> Video:
    """Read a video with its audio at a constant frame rate; larger frames are scaled down to the limits.

    Raises:
        MediaError: The file holds no video, is damaged before its first frame, or larger than ``limits``.
    """
    limits = limits or MediaLimits.default()
    from nextgpt.media.ffmpeg import decode_container

    with open_source(source, limits, "video") as opened:
        decoded = decode_container(opened, limits, modality="video")
        if not decoded.frames:
            raise media_error(opened.name, "holds no frame", "at least one", "Check that it was copied whole.")
        frames = _stack(decoded.frames)
        audio = _trim_padding(decoded.audio, len(frames) / decoded.fps)
        return Video(frames, decoded.fps, audio).note_damage(decoded.damage)


def _stack(frames: list[np.ndarray]) -> np.ndarray:
    """Stack frames and empty the list, so that the frames are in memory once."""
    stacked = np.empty((len(frames), *frames[0].shape), np.uint8)  # (F, H, W, 3)
    for index in reversed(range(len(frames))):
        stacked[index] = frames.pop()
    return stacked


def _trim_padding(audio: Audio | None, duration_s: float) -> Audio | None:
    """Remove the silence that the audio codec added."""
    if audio is None:
        return None
    wanted = round(duration_s * audio.sample_rate_hz)
    if not wanted < audio.samples.shape[-1] <= wanted + _PADDING_SAMPLES:
        return audio
    return Audio(audio.samples[:, :wanted], audio.sample_rate_hz)


def write_video(video: Video, path: str | Path) -> Path:
    """Write a video with its audio in the container of the suffix, MP4 (H.264, AAC) if there is none.

    Browsers can play the file: 4:2:0 colors, the index at the front.

    Raises:
        MediaError: The suffix is no container that can be written.
    """
    import av

    path = with_default_suffix(path, _WRITE_CODECS, default=".mp4")
    codec = _WRITE_CODECS[path.suffix.lower()]
    # Matroska would contain a random identifier.
    options = {"movflags": "+faststart"} if path.suffix.lower() in (".mp4", ".mov") else {"fflags": "+bitexact"}
    frames = _pad_to_even(video.frames)
    with wrap_write_errors(path), av.open(str(path), "w", options=options) as container:
        container.metadata["comment"] = f"written by {WRITER}"
        stream = container.add_stream(codec, rate=Fraction(video.fps).limit_denominator(1001))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.options = dict(_CODEC_OPTIONS[codec])
        if stream.height * stream.width <= _SINGLE_THREAD_PIXELS:
            stream.codec_context.thread_count = 1
        sound = None if video.audio is None else _AudioTrack(container, video.audio, _AUDIO_CODECS[codec])
        for array in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(array, format="rgb24")))
        container.mux(stream.encode(None))
        if sound is not None:
            sound.write()
    return path


class _AudioTrack:
    """The audio stream of a video that is being written."""

    def __init__(self, container: OutputContainer, audio: Audio, codec: str) -> None:
        rate_hz = audio.sample_rate_hz if audio.sample_rate_hz in _AUDIO_RATES_HZ[codec] else _FALLBACK_RATE_HZ
        self._audio = resample(audio, rate_hz)
        self._container = container
        self._layout = "mono" if len(audio.samples) == 1 else "stereo"
        self._stream = container.add_stream(codec, rate=rate_hz, layout=self._layout)

    def write(self) -> None:
        import av

        samples = self._audio.samples[:2].clip(-1.0, 1.0)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=self._layout)
        frame.sample_rate = self._audio.sample_rate_hz
        frame.pts = 0
        self._container.mux(self._stream.encode(frame))
        self._container.mux(self._stream.encode(None))


def _pad_to_even(frames: np.ndarray) -> np.ndarray:
    """Repeat the last row or column if a side is odd: 4:2:0 colors need even sides."""
    height, width = frames.shape[1:3]
    return np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def uniform_indices(count: int, num_frames: int) -> np.ndarray:
    """Spread ``num_frames`` indices evenly over ``count`` frames, first and last included; frames repeat if too few.

    ``uniform_indices(16, 4)`` is ``[0, 5, 10, 15]``; ``uniform_indices(1, 3)`` is ``[0, 0, 0]``. Rounded down, as
    pytorchvideo's ``uniform_temporal_subsample`` does.
    """
    return np.linspace(0, count - 1, num_frames).astype(np.int64)
