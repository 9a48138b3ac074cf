"""The data source ``miniworld``: dialogues of the small world, sampled without end.

Independent of the trained model: template, LLM and dtypes are those of the recipe.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from nextgpt.config import parse_config
from nextgpt.data.record import Dialogue, InvalidRecord, MediaFile, Turn
from nextgpt.errors import ConfigError
from nextgpt.message import Medium, Role
from nextgpt.miniworld import language
from nextgpt.miniworld.language import MediaPart, TurnPart, canonical_caption, sample_dialogue
from nextgpt.miniworld.language.dialogue_state import BRIEF_SHARE, sample_spec
from nextgpt.miniworld.specs import MediaSpec
from nextgpt.miniworld.splits import Split
from nextgpt.model.hub import resolve_component_dir
from nextgpt.nano.self_generated import SELF_GENERATED_DIR, SelfGeneratedConfig, SelfGeneratedMedia, load_or_generate
from nextgpt.train.dataset import SourceContext

NUM_DIALOGUES = 2**31
"""Number of seeds that dialogues are drawn from."""


class Config(BaseModel):
    """Settings of the small world as training data."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tasks: dict[str, float] | None = None
    """Weights of the tasks that dialogues end in; ``any`` is the small world's own mixture, ``phrased`` dialogues in
    people's words. None: the own mixture alone."""
    brief_share: float = BRIEF_SHARE
    """Probability that an answer of the small world's own templates does not describe its media."""
    exclude_tasks: tuple[str, ...] = ()
    """Dialogues with a turn of one of these tasks are drawn again; ``general`` are questions outside the small world,
    which a pretrained LLM answers itself."""
    self_generated: SelfGeneratedConfig | None = None
    """Mix self-generated media into the user's media. None: true renderings alone."""
    weight: float = 1.0
    """Sampling weight of its dialogues, relative to other sources."""


@dataclass(frozen=True, eq=False, kw_only=True)
class RenderedMedium(MediaFile):
    """A medium that is rendered when it is opened, without a file."""

    spec: MediaSpec
    seed: int
    media: SelfGeneratedMedia

    @property
    def is_missing(self) -> bool:
        """Return False: every specification can be rendered."""
        return False

    def open(self) -> Medium:
        """Render the medium, or return its self-generated version."""
        return self.media.medium(np.random.default_rng(self.seed), self.spec)


@dataclass(frozen=True)
class MiniworldSource:
    """The dialogues of the training split, by seed."""

    tasks: Mapping[str, float] | None = None
    media: SelfGeneratedMedia = field(default_factory=SelfGeneratedMedia)
    weight: float = 1.0
    brief_share: float = BRIEF_SHARE
    exclude_tasks: tuple[str, ...] = ()
    name: str = "miniworld"
    invalid: Sequence[InvalidRecord] = ()

    def __len__(self) -> int:
        return NUM_DIALOGUES

    def dialogue(self, index: int) -> Dialogue:
        """Sample the dialogue of a seed."""
        rng = np.random.default_rng(index)
        dialogue = self._sample(rng)
        while any(turn.task in self.exclude_tasks for turn in dialogue.turns):
            dialogue = self._sample(rng)
        key = f"{self.name}-{index}"
        turns: list[Turn] = []
        for turn in dialogue.turns:
            roles: tuple[tuple[Role, Sequence[TurnPart]], ...] = (("user", turn.user), ("assistant", turn.assistant))
            for role, parts in roles:
                keys = (f"{key}-{len(turns)}-{number}" for number in range(len(parts)))
                media = [self._part(part, part_key, rng) for part, part_key in zip(parts, keys, strict=True)]
                turns.append(Turn(role, tuple(media)))
        return Dialogue(key, tuple(turns))

    def _sample(self, rng: np.random.Generator) -> language.Dialogue:
        return sample_dialogue(
            rng, "train", task=self._draw_task(rng), spec_source=self._sample_spec, brief_share=self.brief_share
        )

    def fingerprint(self) -> Any:
        """Raise :class:`ConfigError`: sampled dialogues can't be cached."""
        raise ConfigError("cache is set with data.miniworld, which has no end; expected data.corpora. Remove cache.")

    def summary(self) -> tuple[str, str]:
        """Return format and number of records."""
        return "sampled", "unlimited"

    def _draw_task(self, rng: np.random.Generator) -> str | None:
        if self.tasks is None:
            return None
        weights = np.array([*self.tasks.values()])
        return list(self.tasks)[rng.choice(len(weights), p=weights / weights.sum())]

    def _sample_spec(self, rng: np.random.Generator, modality: str, split: Split) -> MediaSpec:
        return self.media.sample_spec(rng, modality, lambda: sample_spec(rng, modality, split))

    def _part(self, part: TurnPart, key: str, rng: np.random.Generator) -> str | RenderedMedium:
        if not isinstance(part, MediaPart):
            return part
        return RenderedMedium(
            modality=part.modality,
            path=Path(key),
            caption=canonical_caption(part.spec),
            is_edit=part.is_edit,
            spec=part.spec,
            seed=int(rng.integers(2**31)),
            media=self.media,
        )


def parse(values: Any, where: str) -> Config:
    """Parse the settings of the small world."""
    return values if isinstance(values, Config) else parse_config(Config, values or {}, where=where)


def load_sources(config: Config, context: SourceContext) -> tuple[MiniworldSource, ...]:
    """Open the small world, with the media that the model's own synthesizers generate."""
    folders = {
        modality: resolve_component_dir(synthesizer.source, context.model_dir)
        for modality, synthesizer in context.model_config.synthesizers.items()
    }
    media = load_or_generate(config.self_generated, folders, context.work.parent / SELF_GENERATED_DIR)
    return (MiniworldSource(config.tasks, media, config.weight, config.brief_share, config.exclude_tasks),)
