"""The first thing that soft tokens learn: each says one attribute of a medium in the LLM's own words.

Behind a frozen LLM an input projection learns last what needs most values told apart: for thousands of steps it tells
where an object stands and on what, but not which of a hundred it is. Here it is told outright, as BLIP-2 teaches its
Q-Former before the LLM is there (Li et al. 2023, arXiv:2301.12597, section 3.2): soft token k shall be nearest, among
the names of all values, to the mean of the embeddings of the right one's words. After that the captions' loss goes on.

The encoder can learn along, which tells three objects of a picture apart better than a projection behind a frozen
encoder does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import product

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor

from nextgpt.miniworld.language.canonical_captions import MOTION_WORDS
from nextgpt.miniworld.specs import ClipSpec, MediaSpec, SceneSpec
from nextgpt.miniworld.splits import is_held_out
from nextgpt.model.encoding.base import Features
from nextgpt.model.llm.language_model import LanguageModel
from nextgpt.model.nextgpt import NextGPT
from nextgpt.train.own_media import OwnMedia
from nextgpt.train.pretrain.attention import float32_attention
from nextgpt.train.pretrain.attributes import CHOICES, NOTHING, attributes_of
from nextgpt.train.pretrain.encoder import KINDS, clip_of, crowded_scene, varied_sounds

SLOTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "image": (
        ("object 0",), ("tint 0", "place 0", "size 0"),
        ("object 1",), ("tint 1", "place 1"),
        ("object 2",), ("tint 2", "place 2"),
        ("background",),
    ),
    "audio": (("source",), ("pitch",), ("pattern",), ("speed",)),
    "video": (("object",), ("tint",), ("motion",), ("background",)),
}  # fmt: skip
"""For each modality the attributes that soft token k says; of several, the sum of what each would say."""
SILENT = frozenset({NOTHING, "natural"})
"""Values that captions leave out: they are said by zeros."""
SHARPNESS = 10.0
"""Logits by which the right name leads a stranger at average distance, where a soft token hits it."""
PULL = 0.1
"""What the squared distance to the right name counts for beside the choice, in units of the average distance."""


class Names:
    """The values of all attributes as points among the LLM's word embeddings."""

    def __init__(self, llm: LanguageModel) -> None:
        self._llm = llm
        self._of: dict[tuple[str, int], tuple[Float[Tensor, "V D"], dict[tuple[str, ...], int]]] = {}
        for modality, slots in SLOTS.items():
            for number, attributes in enumerate(slots):
                self._of[modality, number] = self._points(modality, attributes)

    def loss(
        self, modality: str, soft: Float[Tensor, "B K D"], contents: Sequence[MediaSpec]
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """How far soft tokens are from saying what ``contents`` of one modality have, averaged over slots; and the
        share of contents of which each slot says the right thing.

        A slot whose attribute a content lacks (the tint of a second object that is not there) may say anything.
        """
        said = [attributes_of(content) for content in contents]
        losses, right = [], torch.ones(len(said), dtype=torch.bool, device=soft.device)
        for number, attributes in enumerate(SLOTS[modality]):
            points, index = self._of[modality, number]
            rows = [row for row, of_row in enumerate(said) if all(name in of_row for name in attributes)]
            if not rows:
                continue
            wanted = torch.tensor([index[tuple(said[row][name] for name in attributes)] for row in rows])
            wanted = wanted.to(soft.device)
            far = torch.cdist(soft[rows, number].float(), points).square()  # (B, V)
            unit = torch.cdist(points, points).square().mean()
            is_unknown = torch.tensor(
                [_held_out_with(contents[row], attributes, tuple(index)) for row in rows]
            )
            scores = (-SHARPNESS * far / unit).masked_fill(is_unknown.to(far.device), -torch.inf)
            choice = F.cross_entropy(scores, wanted)
            losses.append(choice + PULL * far.gather(1, wanted[:, None]).mean() / unit)
            right[rows] &= far.argmin(dim=1) == wanted
        return torch.stack(losses).mean(), right.float().mean()

    @torch.no_grad()
    def _points(
        self, modality: str, attributes: Sequence[str]
    ) -> tuple[Float[Tensor, "V D"], dict[tuple[str, ...], int]]:
        values = list(product(*(CHOICES[modality][name] for name in attributes)))
        points = torch.stack(
            [sum(self._point(modality, *pair) for pair in zip(attributes, of, strict=True)) for of in values]
        )
        return points, {of: number for number, of in enumerate(values)}

    def _point(self, modality: str, attribute: str, value: str) -> Float[Tensor, " D"]:
        if value in SILENT:
            return torch.zeros(self._llm.hidden_size, device=self._llm.signals.input.device)
        words = MOTION_WORDS[value] if attribute == "motion" else value
        return self._llm.embed_ids(self._llm.tokenizer.encode(f" {words}")).float().mean(dim=0)


@lru_cache(maxsize=1 << 16)
def _held_out_with(
    content: MediaSpec, attributes: tuple[str, ...], values: tuple[tuple[str, ...], ...]
) -> tuple[bool, ...]:
    """With which other values ``content`` would be held out; of pictures, none.

    Those are no wrong choices to learn from: a flute that is never heard rising at a high pitch would be heard falling.
    """
    if isinstance(content, SceneSpec):
        return (False,) * len(values)
    known = tuple(getattr(content, name) for name in attributes)
    return tuple(
        of != known and is_held_out(replace(content, **dict(zip(attributes, of, strict=True))))
        for of in values
    )


@dataclass(frozen=True)
class Named:
    """Contents of one modality beside their media, as the encoder's tower takes them."""

    contents: tuple[MediaSpec, ...]
    clips: Shaped[Tensor, "B ..."]


class NamingTrainer:
    """The input projection of a model, and its encoder where that is tuned; all else stays as it is."""

    def __init__(self, model: NextGPT, own: OwnMedia = OwnMedia(), *, tunes_encoder: bool = False) -> None:
        self.model = model
        self.own = own
        self.tunes_encoder = tunes_encoder
        self.names = Names(model.llm)

    def draw_batch(self, rng: np.random.Generator, size: int) -> dict[str, Named]:
        """Draw contents of the training split; pictures hold several objects more often."""
        batch = {}
        for modality, (draw, _, share) in KINDS.items():
            draw_one = partial(crowded_scene, rng) if modality == "image" else partial(draw, rng, "train")
            drawn = [self.own.content(rng, modality, draw_one) for _ in range(round(size * share))]
            # What a film sounds like is none of its attributes.
            contents = tuple(replace(c, sound=None) if isinstance(c, ClipSpec) else c for c in drawn)
            media = [self.own.medium(rng, content) for content in contents]
            clips = torch.stack([clip_of(self.model.encoder, medium) for medium in media])
            if modality == "audio" and self.tunes_encoder:
                clips = varied_sounds(clips, rng)
            batch[modality] = Named(contents, clips)
        return batch

    def loss(self, batch: Mapping[str, Named], noise: torch.Generator) -> dict[str, Tensor]:
        """The loss of each modality's soft tokens, and the shares of media that they name in full."""
        losses, shares = [], {}
        for modality, named in batch.items():
            with torch.set_grad_enabled(self.tunes_encoder), float32_attention():
                vectors = self.model.encoder.forward_clips(KINDS[modality][1], named.clips)  # (B, P, E)
            soft = self.model.input_projection([Features(of) for of in vectors], [modality] * len(vectors))
            loss, shares[f"{modality}_named"] = self.names.loss(modality, soft, named.contents)
            losses.append(loss)
        return {"loss": torch.stack(losses).sum(), **shares}
