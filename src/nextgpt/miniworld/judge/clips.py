"""Recognize object, tint, background and motion of a clip.

Each motion is linear in its sprite. Its adjoint maps the difference from the background in all 16 frames back
to the sprite at rest and sums it, so that one template match covers the whole clip. The best candidates of
all motions are then rendered and compared with the frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from nextgpt.miniworld import motions
from nextgpt.miniworld.backgrounds import SIDE_PX, background
from nextgpt.miniworld.judge.background import background_delta, find_backgrounds
from nextgpt.miniworld.judge.result import JudgeResult
from nextgpt.miniworld.judge.templates import halve, template_bank
from nextgpt.miniworld.specs import MOTIONS, ClipSpec
from nextgpt.miniworld.sprites import SIZES_PX

_NUM_CANDIDATES = 6
_CLEAR = 0.1
"""Residual above which the object may be off its track, so that shifted tracks are tried too."""
_SEARCH_STEPS_PX = (4, 2)
_LIKELY_MOTIONS = 3


@dataclass(frozen=True)
class _Candidate:
    clip: ClipSpec
    gain: float


def judge_clips(clips: np.ndarray) -> list[JudgeResult[ClipSpec]]:
    """Recognize frames, uint8 (B, 16, 64, 64, 3), without audio: judge the audio track separately."""
    return [_judge(frames) for frames in clips]


def _judge(frames: np.ndarray) -> JudgeResult[ClipSpec]:
    name = _background_of(frames)
    backdrop = background(name)
    delta = background_delta(backdrop, frames)
    candidates = _candidates(delta, backdrop, name, MOTIONS)
    result = _nearest(candidates, delta, backdrop)
    if result.residual < _CLEAR:
        return result
    likely_motions = _likely_motions(candidates)
    centred = _centred(delta, backdrop, name, likely_motions)
    second = _nearest(_candidates(centred, backdrop, name, likely_motions), centred, backdrop)
    return min(result, second, key=lambda candidate: candidate.residual)


def _likely_motions(candidates: list[_Candidate]) -> tuple[str, ...]:
    """Return the motions of the best candidates, most likely first."""
    ranked = sorted(candidates, key=lambda candidate: -candidate.gain)
    return tuple(dict.fromkeys(candidate.clip.motion for candidate in ranked))[:_LIKELY_MOTIONS]


def _centred(delta: np.ndarray, backdrop: np.ndarray, name: str, likely_motions: tuple[str, ...]) -> np.ndarray:
    """Shift ``delta`` in space and time to where a sprite with a likely motion has the highest gain."""

    def gain(shifted: np.ndarray) -> float:
        return max(candidate.gain for candidate in _candidates(shifted, backdrop, name, likely_motions))

    for step_px in _SEARCH_STEPS_PX:
        delta = max(_shifted(delta, step_px), key=gain)
    later, earlier = np.concatenate([delta[:1], delta[:-1]]), np.concatenate([delta[1:], delta[-1:]])
    return max((delta, later, earlier), key=gain)


def _shifted(delta: np.ndarray, step_px: int) -> list[np.ndarray]:
    steps = (-step_px, 0, step_px)
    return [np.roll(delta, (row, column), axis=(1, 2)) for row in steps for column in steps]


def _background_of(frames: np.ndarray) -> str:
    """Return the background of most frames."""
    names = find_backgrounds(frames)
    return max(names, key=names.count)


def _nearest(candidates: list[_Candidate], delta: np.ndarray, backdrop: np.ndarray) -> JudgeResult[ClipSpec]:
    """Render the candidates of highest gain and return the one with the smallest residual."""
    halved = halve(delta)
    energy = max(float(np.square(halved).sum()), 1e-6)
    best = sorted(candidates, key=lambda candidate: -candidate.gain)[:_NUM_CANDIDATES]
    distances = []
    for candidate in best:
        clip = candidate.clip
        rgb, inverse_alpha = motions.motion_layers(clip.object, clip.tint, clip.motion)
        expected = halve(rgb - backdrop * (1 - inverse_alpha))
        distances.append(float(np.square(halved - expected).sum()))
    nearest = int(np.argmin(distances))
    return JudgeResult(best[nearest].clip, min(distances[nearest] / energy, 1.0))


def _candidates(delta: np.ndarray, backdrop: np.ndarray, name: str, allowed: Sequence[str]) -> list[_Candidate]:
    """Return the best objects for each motion in ``allowed``."""
    product = (delta * backdrop).sum(-1, keepdims=True)
    candidates = []
    for motion in allowed:
        sprites = template_bank(_size_of(motion))
        summed = halve(_undo_motion(motion, np.concatenate([delta, product], axis=-1))[None])
        gains = sprites.gains(summed[..., :3], summed[..., 3:], _norms(motion, name))[0]
        for row in np.argpartition(gains, -_NUM_CANDIDATES)[-_NUM_CANDIDATES:]:
            tinted, tint = sprites.names[row]
            candidates.append(_Candidate(ClipSpec(tinted, tint, name, motion), float(gains[row])))
    return candidates


@cache
def _norms(motion: str, name: str) -> np.ndarray:
    """Approximate the energy of each sprite in a clip with ``motion`` over a background, float32 (1, N)."""
    backdrop = background(name)
    layers = np.concatenate(
        [np.ones((SIDE_PX, SIDE_PX, 1), np.float32), backdrop, np.square(backdrop).sum(-1, keepdims=True)], axis=-1
    )
    frames = np.broadcast_to(layers, (motions.FRAMES, *layers.shape))
    summed = halve(_undo_motion(motion, frames, is_squared=True)[None])
    return template_bank(_size_of(motion)).norms(summed[..., 0], summed[..., 1:4], summed[..., 4])


def _size_of(motion: str) -> str:
    return "large" if motion in motions.SIDES_PX else "small"


def _undo_motion(motion: str, frames: np.ndarray, is_squared: bool = False) -> np.ndarray:
    """Apply the adjoint of ``motion`` to (16, 64, 64, channels): the sum per pixel of the sprite at rest.

    ``is_squared`` squares the visibility, as energies need.
    """
    if motion in motions.SIDES_PX:
        matrices = motions.resize_matrices(
            SIZES_PX["large"], tuple(motions.SIDES_PX[motion].tolist())
        )  # (16, 64, side)
        rows = np.einsum("fys,fyxc->fsxc", matrices, frames, optimize=True)
        return np.einsum("fxt,fsxc->stc", matrices, rows, optimize=True)
    if motion == "spin":
        return _undo_rotation(frames)
    if motion in motions.VISIBILITY:
        edge, side = motions.TRAVEL_PX // 2, motions.SPRITE_PX
        share = motions.VISIBILITY[motion].astype(np.float32) ** (2 if is_squared else 1)
        return np.tensordot(share, frames[:, edge : edge + side, edge : edge + side], axes=(0, 0))
    side = motions.SPRITE_PX
    return sum(
        frames[frame, top : top + side, left : left + side] for frame, (top, left) in enumerate(motions.TRACKS[motion])
    )


def _undo_rotation(frames: np.ndarray) -> np.ndarray:
    indices, weights = motions.rotation_weights(motions.SPRITE_PX)  # (16, 4 corners, points)
    edge, side = (SIDE_PX - motions.ROTATION_BOX_PX) // 2, motions.SPRITE_PX
    box = frames[:, edge:-edge, edge:-edge].reshape(motions.FRAMES, 1, -1, frames.shape[-1])
    flat = indices.ravel()
    return np.stack(
        [
            np.bincount(flat, (box[..., channel] * weights).ravel(), minlength=side * side).reshape(side, side)
            for channel in range(frames.shape[-1])
        ],
        axis=-1,
    )
