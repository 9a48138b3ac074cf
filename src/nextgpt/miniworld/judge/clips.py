"""What a clip shows: an object, its tint, the background, and the motion.

Each motion is linear in the sprite that it moves. So its adjoint brings what differs from the background in all sixteen
frames back to where the sprite is at rest, adds it up, and one match with all sprites answers for the whole clip. The
best few of all motions are then rendered and compared with the frames themselves.
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
"""Where more than this share stays unexplained, the object may be off its track: nearby tracks are tried."""
_SEARCH_STEPS_PX = (4, 2)
_LIKELY_MOTIONS = 3


@dataclass(frozen=True)
class _Candidate:
    clip: ClipSpec
    gain: float


def judge_clips(clips: np.ndarray) -> list[JudgeResult[ClipSpec]]:
    """Say what frames, uint8 (B, 16, 64, 64, 3), show. The verdict never has a sound: judge that by itself."""
    return [_judge(frames) for frames in clips]


def _judge(frames: np.ndarray) -> JudgeResult[ClipSpec]:
    name = _background_of(frames)
    behind = background(name)
    change = background_delta(behind, frames)
    candidates = _candidates(change, behind, name, MOTIONS)
    verdict = _nearest(candidates, change, behind)
    if verdict.residual < _CLEAR:
        return verdict
    likely = _likely_motions(candidates)
    centred = _centred(change, behind, name, likely)
    second = _nearest(_candidates(centred, behind, name, likely), centred, behind)
    return min(verdict, second, key=lambda one: one.residual)


def _likely_motions(candidates: list[_Candidate]) -> tuple[str, ...]:
    """The motions of the best candidates, the likeliest first."""
    ranked = sorted(candidates, key=lambda one: -one.gain)
    return tuple(dict.fromkeys(one.clip.motion for one in ranked))[:_LIKELY_MOTIONS]


def _centred(change: np.ndarray, behind: np.ndarray, name: str, likely: tuple[str, ...]) -> np.ndarray:
    """``change`` moved a few pixels and a frame, to where some sprite with a likely motion explains most of it."""

    def gain(moved: np.ndarray) -> float:
        return max(one.gain for one in _candidates(moved, behind, name, likely))

    for step_px in _SEARCH_STEPS_PX:
        change = max(_shifted(change, step_px), key=gain)
    later, earlier = np.concatenate([change[:1], change[:-1]]), np.concatenate([change[1:], change[-1:]])
    return max((change, later, earlier), key=gain)


def _shifted(change: np.ndarray, step_px: int) -> list[np.ndarray]:
    steps = (-step_px, 0, step_px)
    return [np.roll(change, (row, column), axis=(1, 2)) for row in steps for column in steps]


def _background_of(frames: np.ndarray) -> str:
    """The background that most frames have."""
    names = find_backgrounds(frames)
    return max(names, key=names.count)


def _nearest(candidates: list[_Candidate], change: np.ndarray, behind: np.ndarray) -> JudgeResult[ClipSpec]:
    """The candidate whose rendering comes nearest, of those that promise most."""
    halved = halve(change)
    energy = max(float(np.square(halved).sum()), 1e-6)
    finalists = sorted(candidates, key=lambda one: -one.gain)[:_NUM_CANDIDATES]
    distances = []
    for finalist in finalists:
        clip = finalist.clip
        light, transparency = motions.motion_layers(clip.object, clip.tint, clip.motion)
        expected = halve(light - behind * (1 - transparency))
        distances.append(float(np.square(halved - expected).sum()))
    nearest = int(np.argmin(distances))
    return JudgeResult(finalists[nearest].clip, min(distances[nearest] / energy, 1.0))


def _candidates(
    change: np.ndarray, behind: np.ndarray, name: str, allowed: Sequence[str]
) -> list[_Candidate]:
    """The best few objects for each motion that is ``allowed``."""
    product = (change * behind).sum(-1, keepdims=True)
    found = []
    for motion in allowed:
        sprites = template_bank(_size_of(motion))
        rest = halve(_undo_translation(motion, np.concatenate([change, product], axis=-1))[None])
        gains = sprites.gains(rest[..., :3], rest[..., 3:], _norms(motion, name))[0]
        for row in np.argpartition(gains, -_NUM_CANDIDATES)[-_NUM_CANDIDATES:]:
            tinted, tint = sprites.names[row]
            found.append(_Candidate(ClipSpec(tinted, tint, name, motion), float(gains[row])))
    return found


@cache
def _norms(motion: str, name: str) -> np.ndarray:
    """About how much each sprite changes in a whole clip with ``motion`` over a background, float32 (1, N)."""
    behind = background(name)
    layers = np.concatenate(
        [np.ones((SIDE_PX, SIDE_PX, 1), np.float32), behind, np.square(behind).sum(-1, keepdims=True)],
        axis=-1,
    )
    film = np.broadcast_to(layers, (motions.FRAMES, *layers.shape))
    rest = halve(_undo_translation(motion, film, is_squared=True)[None])
    return template_bank(_size_of(motion)).norms(rest[..., 0], rest[..., 1:4], rest[..., 4])


def _size_of(motion: str) -> str:
    return "large" if motion in motions.SIDES_PX else "small"


def _undo_translation(motion: str, film: np.ndarray, is_squared: bool = False) -> np.ndarray:
    """The adjoint of ``motion`` on a film (16, 64, 64, channels): what falls on each pixel of the sprite at rest.

    With ``is_squared``, visibility counts squared, as it does in energies.
    """
    if motion in motions.SIDES_PX:
        matrices = motions.resize_matrices(
            SIZES_PX["large"], tuple(motions.SIDES_PX[motion].tolist())
        )  # (16, 64, side)
        rows = np.einsum("fys,fyxc->fsxc", matrices, film, optimize=True)
        return np.einsum("fxt,fsxc->stc", matrices, rows, optimize=True)
    if motion == "spin":
        return _undo_rotation(film)
    if motion in motions.VISIBILITY:
        edge, side = motions.TRAVEL_PX // 2, motions.SPRITE_PX
        share = motions.VISIBILITY[motion].astype(np.float32) ** (2 if is_squared else 1)
        return np.tensordot(share, film[:, edge : edge + side, edge : edge + side], axes=(0, 0))
    side = motions.SPRITE_PX
    return sum(
        film[frame, top : top + side, left : left + side]
        for frame, (top, left) in enumerate(motions.TRACKS[motion])
    )


def _undo_rotation(film: np.ndarray) -> np.ndarray:
    indices, weights = motions.rotation_weights(motions.SPRITE_PX)  # (16, 4 corners, points)
    edge, side = (SIDE_PX - motions.ROTATION_BOX_PX) // 2, motions.SPRITE_PX
    box = film[:, edge:-edge, edge:-edge].reshape(motions.FRAMES, 1, -1, film.shape[-1])
    flat = indices.ravel()
    return np.stack(
        [
            np.bincount(flat, (box[..., channel] * weights).ravel(), minlength=side * side).reshape(
                side, side
            )
            for channel in range(film.shape[-1])
        ],
        axis=-1,
    )
