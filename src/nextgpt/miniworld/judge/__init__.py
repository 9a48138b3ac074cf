"""What is in a medium: the judge finds the content whose own rendering explains the medium best."""

from nextgpt.miniworld.judge.accuracy import AttributeAccuracy, judge_accuracy
from nextgpt.miniworld.judge.attribute_match import match_attributes
from nextgpt.miniworld.judge.clips import judge_clips
from nextgpt.miniworld.judge.result import JudgeResult
from nextgpt.miniworld.judge.scenes import judge_scenes
from nextgpt.miniworld.judge.sounds import judge_sounds

__all__ = [
    "AttributeAccuracy",
    "JudgeResult",
    "judge_accuracy",
    "judge_clips",
    "judge_scenes",
    "judge_sounds",
    "match_attributes",
]
