"""Read, resample, resize and write files of pictures, sound and film. It knows no model.

Whatever comes in, a path, bytes or an open file, is judged by its content and refused with a
:class:`~nextgpt.errors.MediaError` before it can cost more than :class:`MediaLimits` allows.
"""

from __future__ import annotations

from nextgpt.media.audio import read_audio, write_audio
from nextgpt.media.image import read_image, write_image
from nextgpt.media.limits import MediaLimits
from nextgpt.media.resample import resample, to_mono
from nextgpt.media.resize import center_crop, resize_short_side
from nextgpt.media.sampling import uniform_indices
from nextgpt.media.sniff import FileType, sniff
from nextgpt.media.video import read_video, write_video

__all__ = [
    "FileType",
    "MediaLimits",
    "center_crop",
    "read_audio",
    "read_image",
    "read_video",
    "resample",
    "resize_short_side",
    "sniff",
    "to_mono",
    "uniform_indices",
    "write_audio",
    "write_image",
    "write_video",
]
