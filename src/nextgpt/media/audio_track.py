"""Decoded audio frames, joined to one clip of one rate and layout; gaps in the time stamps become silence."""

from __future__ import annotations

import av
import numpy as np

from nextgpt.media.limits import MediaLimits, check_audio_size
from nextgpt.media.samples import clean_samples
from nextgpt.media.types import Audio

_SAMPLE_FORMAT = "fltp"
MIN_GAP_S = 0.1
"""Shorter gaps are rounding of time stamps."""
RESTART_S = 0.3
"""Time stamps that go back further begin anew, as in files that were joined."""


class AudioTrack:
    """Collects the audio of a container while it is decoded."""

    def __init__(self, name: str, limits: MediaLimits) -> None:
        self.rate_hz = 0
        """Sample rate of the first frame; 0 before it."""
        self.start_s: float | None = None
        """Time stamp of the first frame that has one."""
        self._name, self._limits = name, limits
        self._layout = "mono"
        self._resamplers: dict[tuple[str, str, int], av.AudioResampler] = {}
        self._blocks: list[np.ndarray] = []
        self._num_samples = 0
        self._next_s: float | None = None  # expected time stamp of the next frame

    def __len__(self) -> int:
        """Return the number of samples per channel."""
        return self._num_samples

    @property
    def duration_s(self) -> float:
        """Length so far in seconds."""
        return self._num_samples / self.rate_hz if self.rate_hz else 0.0

    def append(self, frame: av.AudioFrame) -> None:
        """Add a frame. Raises :class:`MediaError` beyond the limits."""
        if not self.rate_hz:
            # The header of HE-AAC states half the rate of its frames; more than two channels are mixed down to two.
            self.rate_hz = frame.sample_rate
            self._layout = "mono" if len(frame.layout.channels) == 1 else "stereo"
        self._fill_gap(frame.time)
        for piece in self._resampler(frame).resample(frame):
            self._add(piece.to_ndarray())  # (channels, samples)

    def _resampler(self, frame: av.AudioFrame) -> av.AudioResampler:
        """Return the converter for frames like this one: damaged headers, and joined files, change rate or layout."""
        key = (frame.format.name, frame.layout.name, frame.sample_rate)
        if key not in self._resamplers:
            self._resamplers[key] = av.AudioResampler(_SAMPLE_FORMAT, self._layout, self.rate_hz)
        return self._resamplers[key]

    def _fill_gap(self, time_s: float | None) -> None:
        if time_s is None:
            return
        if self.start_s is None or self._next_s is None:
            self.start_s = self._next_s = time_s
        gap_s = time_s - self._next_s
        if gap_s > MIN_GAP_S:
            self._add_silence(gap_s)
        elif gap_s < -RESTART_S:
            self._next_s = time_s

    def _add_silence(self, duration_s: float) -> None:
        count = round(duration_s * self.rate_hz)
        num_channels = 1 if self._layout == "mono" else 2
        check_audio_size(self._name, self._num_samples + count, num_channels, self.rate_hz, self._limits)
        self._add(np.zeros((num_channels, count), np.float32))

    def _add(self, block: np.ndarray) -> None:
        self._blocks.append(block)
        self._num_samples += block.shape[1]
        check_audio_size(self._name, self._num_samples, len(block), self.rate_hz, self._limits)
        if self._next_s is not None:
            self._next_s += block.shape[1] / self.rate_hz

    def to_audio(self, *, origin_s: float | None = None) -> Audio | None:
        """Return the clip, or ``None`` without any sample.

        Args:
            origin_s: Time stamp at which the clip begins, that of the first frame of a video. Later audio is preceded
                by silence, earlier audio is cut. Absent: the clip begins with the audio.
        """
        lead_s = 0.0 if origin_s is None or self.start_s is None else self.start_s - origin_s
        if self._blocks and lead_s > MIN_GAP_S:
            self._add_silence(lead_s)
            self._blocks.insert(0, self._blocks.pop())
        if not self._blocks:
            return None
        samples = np.concatenate(self._blocks, axis=1)
        if lead_s < -MIN_GAP_S:
            samples = samples[:, round(-lead_s * self.rate_hz) :]
        return Audio(clean_samples(samples), self.rate_hz)
