"""Read, resample, resize and write images, audio and video. Independent of models.

Sources are paths, bytes or open files. Their type follows from their content, and :class:`MediaLimits` are checked
before and while they are decoded; a violation raises :class:`~nextgpt.errors.MediaError`.
"""

from __future__ import annotations

from nextgpt.media.audio import read_audio, resample, to_mono, write_audio
from nextgpt.media.file_types import FileType, sniff
from nextgpt.media.image import center_crop, read_image, resize_short_side, to_rgb, write_image
from nextgpt.media.limits import MediaLimits
from nextgpt.media.read_any import READERS, WRITERS, read_any
from nextgpt.media.sensors import read_depth, read_imu, read_thermal, write_array, write_imu
from nextgpt.media.video import read_video, uniform_indices, write_video

__all__ = [
    "READERS",
    "WRITERS",
    "FileType",
    "MediaLimits",
    "center_crop",
    "read_any",
    "read_audio",
    "read_depth",
    "read_image",
    "read_imu",
    "read_thermal",
    "read_video",
    "resample",
    "resize_short_side",
    "sniff",
    "to_mono",
    "to_rgb",
    "uniform_indices",
    "write_array",
    "write_audio",
    "write_image",
    "write_imu",
    "write_video",
]
