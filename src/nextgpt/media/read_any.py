"""Readers and writers by modality, and a reader that finds the modality of a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nextgpt.errors import MissingStreamError
from nextgpt.media.audio import read_audio, write_audio
from nextgpt.media.file_types import sniff
from nextgpt.media.image import read_image, write_image
from nextgpt.media.limits import MediaLimits, media_error
from nextgpt.media.open_media import read_bytes
from nextgpt.media.sensors import read_depth, read_imu, read_thermal, write_array, write_imu
from nextgpt.media.types import Audio, Image, MediaSource, Video
from nextgpt.media.video import read_video, write_video

READERS: Mapping[str, Callable[..., Any]] = {
    "image": read_image,
    "audio": read_audio,
    "video": read_video,
    "depth": read_depth,
    "thermal": read_thermal,
    "imu": read_imu,
}
"""Reader of each modality."""
WRITERS: Mapping[str, Callable[[Any, str | Path], Path]] = {
    "image": write_image,
    "audio": write_audio,
    "video": write_video,
    "depth": lambda depth, path: write_array(depth.metres, path),
    "thermal": lambda thermal, path: write_array(thermal.values, path),
    "imu": write_imu,
}
"""Writer of each modality."""


def read_any(source: MediaSource, *, limits: MediaLimits | None = None) -> Image | Audio | Video:
    """Read a file whose content decides the modality: an MP4 is a video if it has a video stream, otherwise audio.

    Only a missing stream leads to the next modality; a video that is damaged or too long is never read as audio.

    Raises:
        MediaError: The file holds no medium, is damaged, or larger than ``limits``.
    """
    limits = limits or MediaLimits.default()
    content, name = read_bytes(source, limits)
    file_type = sniff(content)
    for modality in file_type.modalities if file_type else ():
        try:
            return READERS[modality](source if isinstance(source, str | Path) else content, limits=limits)
        except MissingStreamError:
            if file_type is None or modality == file_type.modalities[-1]:
                raise
    problem = f"is {file_type.label}" if file_type else "has content of unknown type"
    raise media_error(name, problem, "an image, audio file or video", "Convert it or choose another file.")
