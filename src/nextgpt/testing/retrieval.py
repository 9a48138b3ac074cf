"""An index for tests that finds the same items for every condition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor

from nextgpt.errors import MediaError
from nextgpt.message import Attribution, Medium
from nextgpt.testing.scripted_model import tiny_image


@dataclass(frozen=True)
class FakeHit:
    """An item; without a medium it cannot be opened."""

    score: float = 0.8
    medium: Medium | None = field(default_factory=tiny_image)

    @property
    def attribution(self) -> Attribution:
        """Return the facts to show to the user."""
        return Attribution("7", "a cat", "a shelf", "CC0", self.score)

    def open(self) -> Medium:
        """Return the medium. Raises :class:`MediaError` if there is none."""
        if self.medium is None:
            raise MediaError("cat.png is missing; expected an image. Fetch it.")
        return self.medium


@dataclass
class FakeIndex:
    """Implements :class:`nextgpt.model.retrieval.RetrievalIndex`."""

    hits: Sequence[FakeHit] = (FakeHit(),)
    thresholds: dict[str, float] = field(default_factory=dict)
    modalities: tuple[str, ...] = ("image",)

    def search_conditions(
        self, conditions: Float[Tensor, "B Q C"], modality: str, k: int = 5
    ) -> list[Sequence[FakeHit]]:
        """Return :attr:`hits` per condition."""
        return [self.hits[:k]] * len(conditions)
