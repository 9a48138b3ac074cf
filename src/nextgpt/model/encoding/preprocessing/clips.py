"""Place clips of one length evenly over a longer medium."""

from __future__ import annotations


def clip_starts_s(duration_s: float, clip_s: float, clips: int) -> list[float]:
    """Where the clips begin, the first at 0 and the last at the end, each start once.

    A medium no longer than a clip gives one start only: all its clips are equal, and so is their mean. Otherwise as
    pytorchvideo's ``ConstantClipsPerVideoSampler``.
    """
    last = max(duration_s - clip_s, 0.0)
    return list(dict.fromkeys(last * index / max(clips - 1, 1) for index in range(clips)))
