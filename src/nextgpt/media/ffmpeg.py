"""Decode video, and audio in video containers, with FFmpeg through PyAV; limits are checked while decoding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition

from nextgpt.errors import MediaError, MissingStreamError
from nextgpt.media.audio_track import RESTART_S, AudioTrack
from nextgpt.media.file_types import SNIFFED_BYTES, id3_size
from nextgpt.media.limits import Deadline, DeadlineStream, MediaLimits, check_audio_size, media_error
from nextgpt.media.open_media import OpenSource
from nextgpt.media.types import Audio

# If a file states no rate, or an impossible one.
_DEFAULT_FPS = 25.0
_MAX_FPS = 1000.0
_TIME_TOLERANCE_S = 1e-3
_RATE_TOLERANCE = 0.02
"""Relative deviation up to which the header's rate is kept."""
MAX_SKIPPED_PACKETS = 10_000
"""Damaged packets after which the rest is given up."""
MIN_COMPLETE_SHARE, MAX_MISSING_S = 0.9, 0.5
"""A file that ends before this share of its length, and this much earlier, counts as cut off."""


@dataclass(frozen=True)
class DecodedStreams:
    """Decoded streams of a container."""

    frames: list[np.ndarray]
    """Frames, uint8 (H, W, 3)."""
    fps: float
    audio: Audio | None
    damage: str
    """Description of what could not be decoded; empty if nothing was lost."""


@dataclass(frozen=True)
class Orientation:
    """Orientation of decoded frames for display: transposed first, then mirrored.

    Telephones record in landscape and store the rotation; front cameras may store a mirrored picture.
    """

    is_transposed: bool
    has_reversed_columns: bool
    has_reversed_rows: bool

    @classmethod
    def of(cls, frame: av.VideoFrame) -> Orientation:
        """Return the orientation that the display matrix of a frame states."""
        matrix = frame.side_data.get("DISPLAYMATRIX")
        if matrix is None:
            return cls(False, False, False)
        # libavutil/display.h: the pixel (x, y) is shown at (a x + c y, b x + d y); the order is a, b, _, c, d, ...
        a, b, _, c, d = (int(value) for value in np.frombuffer(bytes(matrix), np.int32)[:5])
        is_transposed = abs(b) + abs(c) > abs(a) + abs(d)
        return cls(is_transposed, (c if is_transposed else a) < 0, (b if is_transposed else d) < 0)

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """Turn the pixels (H, W, 3) of a frame upright."""
        pixels = pixels.swapaxes(0, 1) if self.is_transposed else pixels
        return pixels[:: -1 if self.has_reversed_rows else 1, :: -1 if self.has_reversed_columns else 1]


def decode_container(opened: OpenSource, limits: MediaLimits, *, modality: Literal["audio", "video"]) -> DecodedStreams:
    """Decode the first video stream (if ``modality`` is video) and the first audio stream of a known codec.

    Damaged packets are skipped, as players do, and a truncated file is read up to its end.

    Raises:
        MediaError: Nothing of it can be decoded, or it is too large or too slow.
    """
    deadline = Deadline(opened.name, limits)
    try:
        stream = DeadlineStream(opened.stream, deadline)
        has_stated_length = _has_stated_length(opened)
        with av.open(stream, format=opened.type.demuxer, metadata_errors="ignore") as container:
            return _Decoder(container, opened.name, limits, deadline, modality, has_stated_length).run()
    except MediaError:
        raise
    except (av.error.FFmpegError, OSError, ValueError, MemoryError, OverflowError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise media_error(
            opened.name,
            f"is {opened.type.label} that cannot be decoded ({reason})",
            f"a complete {modality} file",
            "Check that it was copied whole, or convert it to MP4 (H.264, AAC).",
        ) from error


@dataclass
class _Decoder:
    container: InputContainer
    name: str
    limits: MediaLimits
    deadline: Deadline
    modality: Literal["audio", "video"]
    has_stated_length: bool
    frames: list[np.ndarray] = field(default_factory=list)
    times_s: list[float | None] = field(default_factory=list)
    size_px: tuple[int, int] | None = None
    orientation: Orientation | None = None
    num_skipped: int = 0
    """Damaged packets."""

    def __post_init__(self) -> None:
        self.track = AudioTrack(self.name, self.limits)

    def run(self) -> DecodedStreams:
        # Album covers are video streams of one image; streams of unknown codecs have no context.
        videos = [
            stream
            for stream in self.container.streams.video
            if stream.codec_context is not None and not stream.disposition & Disposition.attached_pic
        ]
        audios = [stream for stream in self.container.streams.audio if stream.codec_context is not None]
        video = videos[0] if videos and self.modality == "video" else None
        audio = audios[0] if audios else None
        streams = [stream for stream in (video, audio) if stream is not None]
        if not streams or (self.modality == "video" and video is None):
            raise media_error(
                self.name,
                f"holds no {self.modality} that can be decoded",
                f"a file with {self.modality}",
                "Choose another file, or convert it to MP4 (H.264, AAC).",
                MissingStreamError if videos or audios else MediaError,
            )
        self._check_headers(video, audio)
        self._decode(streams)
        nominal_fps = _nominal_rate(video) if video is not None else _DEFAULT_FPS
        fps, indices = constant_rate(self.times_s, nominal_fps)
        sound = self.track.to_audio(origin_s=self.times_s[0] if self.times_s else None)
        duration_s = max(len(indices) / fps if self.frames else 0.0, sound.duration_s if sound else 0.0)
        damage = self._damage(duration_s, self._promised_s(streams))
        return DecodedStreams([self.frames[index] for index in indices], fps, sound, damage)

    def _promised_s(self, streams: Sequence[av.VideoStream | av.AudioStream]) -> float:
        """Return the length that the headers promise for the streams that are read; 0 if they do not say."""
        if not self.has_stated_length:
            return 0.0
        lengths = [float(stream.duration * stream.time_base) for stream in streams if stream.duration]
        if lengths:
            return max(lengths)
        is_whole = len(streams) == len(self.container.streams)  # a container is as long as its longest stream
        return (self.container.duration or 0) / av.time_base if is_whole else 0.0

    def _damage(self, found_s: float, promised_s: float) -> str:
        """Describe what was lost: skipped packets, and what the headers promise beyond the last one."""
        lost = [f"{self.num_skipped} damaged packets were skipped"] if self.num_skipped else []
        if found_s < min(MIN_COMPLETE_SHARE * promised_s, promised_s - MAX_MISSING_S):
            lost.append(f"it ends after {found_s:.1f} of {promised_s:.1f} s")
        return "; ".join(lost)

    def _check_headers(self, video: av.VideoStream | None, audio: av.AudioStream | None) -> None:
        duration_s = (self.container.duration or 0) / av.time_base
        if duration_s > self.limits.duration_s:
            raise media_error(
                self.name,
                f"lasts {duration_s:,.0f} s",
                f"at most {self.limits.duration_s:,.0f} s",
                "Cut it, or raise the limit duration_s.",
            )
        if video is not None:
            self._check_frame_size(video.codec_context.width, video.codec_context.height)
            self._check_frame_count(video.frames)
        if audio is not None:
            check_audio_size(self.name, 0, audio.channels, audio.rate, self.limits)

    def _decode(self, streams: list) -> None:
        problem: av.error.FFmpegError | None = None
        while self.num_skipped <= MAX_SKIPPED_PACKETS:
            try:
                for packet in self.container.demux(streams):
                    self.deadline.check()
                    problem = self._decode_packet(packet) or problem
                break
            except av.error.EOFError as error:
                problem = error
                break
            except av.error.InvalidDataError as error:  # between packets; the demuxer goes on after it
                problem = error
                self.num_skipped += 1
        if problem is not None and not self.frames and not len(self.track):
            raise problem

    def _decode_packet(self, packet: av.Packet) -> av.error.FFmpegError | None:
        """Decode one packet; return the error of a damaged one."""
        try:
            frames = packet.decode()
        except av.error.EOFError:
            return None
        except av.error.InvalidDataError as error:
            self.num_skipped += 1
            return error
        for frame in frames:
            if isinstance(frame, av.VideoFrame):
                self._append_image(frame)
            else:
                self.track.append(frame)
            self.deadline.check()
        return None

    def _append_image(self, frame: av.VideoFrame) -> None:
        self._check_frame_size(frame.width, frame.height)
        self._check_frame_count(len(self.frames) + 1)
        if self.size_px is None or self.orientation is None:
            # Every frame gets the size and orientation of the first, even if the video changes them.
            self.size_px = _fit_size(frame.width, frame.height, self.limits)
            self.orientation = Orientation.of(frame)
        small = frame.reformat(*self.size_px, "rgb24", interpolation="AREA").to_ndarray()
        self.frames.append(self.orientation.apply(small))
        self.times_s.append(frame.time)

    def _check_frame_size(self, width: int, height: int) -> None:
        if width * height > self.limits.pixels:
            raise media_error(
                self.name,
                f"has frames of {width} x {height} pixels",
                f"at most {self.limits.pixels:,} pixels a frame",
                "Scale it down.",
            )

    def _check_frame_count(self, count: int) -> None:
        if count > self.limits.frames:
            raise media_error(
                self.name,
                f"has {count:,} frames or more",
                f"at most {self.limits.frames:,}",
                "Cut it or lower its frame rate, or raise the limit frames.",
            )


def _has_stated_length(opened: OpenSource) -> bool:
    """Return whether a file states its length; otherwise FFmpeg estimates it from the bit rate of the first frames."""
    if opened.type.name != "mp3":
        return opened.type.name != "aac"
    opened.stream.seek(id3_size(opened.stream.read(10)))
    head = opened.stream.read(SNIFFED_BYTES)
    opened.stream.seek(0)
    return any(tag in head for tag in (b"Xing", b"Info", b"VBRI"))


def _nominal_rate(video: av.VideoStream) -> float:
    fps = float(video.average_rate or video.guessed_rate or 0)
    return fps if 0 < fps <= _MAX_FPS else _DEFAULT_FPS


def constant_rate(times_s: Sequence[float | None], nominal_fps: float) -> tuple[float, np.ndarray]:
    """Return a constant frame rate, and for each of its ticks the index of the frame shown then.

    The frames' own time stamps count: browsers record WebM whose header has a time base in place of a rate, and
    telephones record variable rates. The nominal rate is kept if the time stamps agree with it.
    """
    count = len(times_s)
    if count < 2 or None in times_s:
        return nominal_fps, np.arange(count)
    times = _continued(np.array(times_s, dtype=np.float64))
    if not 0 < times[-1] < np.inf:
        return nominal_fps, np.arange(count)
    mean_fps = min((count - 1) / times[-1], _MAX_FPS)
    fps = nominal_fps if abs(mean_fps / nominal_fps - 1) < _RATE_TOLERANCE else mean_fps
    if np.abs(times * fps - np.arange(count)).max() < 1:
        return float(fps), np.arange(count)
    ticks = np.arange(max(1, round(times[-1] * fps) + 1)) / fps
    return float(fps), np.searchsorted(times, ticks + _TIME_TOLERANCE_S, side="right") - 1


def _continued(times: np.ndarray) -> np.ndarray:
    """Return rising times from 0; where they begin anew, as in joined files, they go on with the usual step."""
    steps = np.diff(times, prepend=times[:1])
    is_restart = steps < -RESTART_S
    steps[is_restart] = np.median(steps[steps > 0]) if (steps > 0).any() else 0.0
    return np.maximum.accumulate(np.cumsum(steps))


def _fit_size(width: int, height: int, limits: MediaLimits) -> tuple[int, int]:
    """Return width and height, scaled down to the limits of a frame."""
    scale = min(1.0, limits.frame_short_side_px / min(width, height), math.sqrt(limits.frame_pixels / (width * height)))
    return max(1, round(width * scale)), max(1, round(height * scale))
