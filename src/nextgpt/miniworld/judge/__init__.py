"""The judge: find the spec whose own rendering explains a medium best (analysis by synthesis)."""

from nextgpt.miniworld.judge.clips import judge_clips
from nextgpt.miniworld.judge.result import JudgeResult
from nextgpt.miniworld.judge.scenes import judge_scenes
from nextgpt.miniworld.judge.sounds import judge_sounds

__all__ = ["JudgeResult", "judge_clips", "judge_scenes", "judge_sounds"]
