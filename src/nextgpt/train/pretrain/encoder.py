"""Pretraining of the encoder: media and their captions meet in one space, by contrast (CLIP, arXiv 2103.00020).

As in ImageBind, one tower binds the others; there it is vision, here it is text, since every content of the small
world has a caption. Batches hold families of contents that differ in one attribute alone, so that a vector must carry
place, tint, pitch and motion, and not only what the object is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nextgpt.miniworld import sampling
from nextgpt.miniworld.language import canonical_caption
from nextgpt.miniworld.language.captions import caption
from nextgpt.miniworld.render import render
from nextgpt.miniworld.scene import Clip, Content, Scene, Sound
from nextgpt.miniworld.splits import is_held_out
from nextgpt.model.encoding import EncoderConfig, ImageBind, save_encoder
from nextgpt.train.fit import FitConfig, fit
from nextgpt.train.pretrain.attention import float32_attention
from nextgpt.train.pretrain.tokenizer import train_tokenizer

TOKENIZER_ROUNDS = 4000
FAMILY = 4
"""Contents of a batch that are relatives: the same but for one attribute."""
CANONICAL_SHARE = 0.5
"""How often the caption is the full canonical one; otherwise it is varied and may leave attributes out."""
KINDS: dict[str, tuple[Callable[..., Content], str, float]] = {
    "image": (sampling.sample_scene, "vision", 0.6),
    "audio": (sampling.sample_sound, "audio", 0.2),
    "video": (sampling.sample_clip, "vision", 0.2),
}
"""For each modality: how contents are drawn, the tower that sees them, and their share of a batch."""


@dataclass(frozen=True)
class Pairs:
    """Media of one modality beside the token ids of their captions."""

    tower: str
    items: Tensor
    captions: Tensor


def relatives(content: Content, draw: Callable[[], Content], rng: np.random.Generator) -> list[Content]:
    """``FAMILY`` contents: the given one and others that each took one attribute from a stranger."""
    family = [content]
    while len(family) < FAMILY:
        changed = _with_one_attribute_of(content, draw(), rng)
        if not is_held_out(changed):
            family.append(changed)
    return family


def _with_one_attribute_of(content: Content, stranger: Content, rng: np.random.Generator) -> Content:
    if isinstance(content, Scene):
        if len(content.objects) > 1 or len(stranger.objects) > 1:
            return stranger
        names = ["object", "tint", "place", "size", "background"]
        name = names[rng.integers(len(names))]
        if name == "background":
            return replace(content, background=stranger.background)
        placed = replace(content.objects[0], **{name: getattr(stranger.objects[0], name)})
        return replace(content, objects=(placed,))
    names = [field.name for field in fields(content) if field.name != "sound"]
    name = names[rng.integers(len(names))]
    return replace(content, **{name: getattr(stranger, name)})


@lru_cache(maxsize=4096)
def _clip_of_sound(encoder: ImageBind, sound: Sound) -> Tensor:
    """A sound as its tower takes it; there are few different ones, and filter banks are slow."""
    return encoder.preprocess(render(sound))[0]


def _item(encoder: ImageBind, content: Content) -> Tensor:
    return _clip_of_sound(encoder, content) if isinstance(content, Sound) else encoder.preprocess(render(content))[0]


class ContrastiveTrainer:
    """An encoder in training, with a tokenizer of its own."""

    def __init__(self, config: EncoderConfig, seed: int) -> None:
        rng = np.random.default_rng(seed)
        texts = [text for _ in range(TOKENIZER_ROUNDS) for text in _captions_of_each_kind(rng)]
        tokenizer = train_tokenizer(texts, config.text.vocabulary, for_captions=True)
        tower = config.text.model_copy(
            update={"vocabulary": len(tokenizer), "start_token_id": None, "end_token_id": tokenizer.eos_token_id}
        )
        self.encoder = ImageBind(config.model_copy(update={"text": tower}), tokenizer.backend_tokenizer)

    def draw_batch(self, rng: np.random.Generator, size: int) -> list[Pairs]:
        """Draw pairs of every modality, in families."""
        batch = []
        for draw, tower, share in KINDS.values():
            draw_one = partial(draw, rng, "train")
            contents: list[Content] = []
            while len(contents) < size * share:
                contents += relatives(draw_one(), draw_one, rng)
            contents = [replace(c, sound=None) if isinstance(c, Clip) else c for c in contents]
            texts = [
                canonical_caption(c) if rng.random() < CANONICAL_SHARE else caption(c, rng, "train") for c in contents
            ]
            items = torch.stack([_item(self.encoder, content) for content in contents])
            batch.append(Pairs(tower, items, self.encoder.tokenize(texts)))
        return batch

    def loss(self, batch: list[Pairs], noise: torch.Generator) -> dict[str, Tensor]:
        """The contrastive loss among the pairs of one modality, averaged over modalities."""
        losses, hits = [], []
        with float32_attention():
            for pairs in batch:
                media = F.normalize(self.encoder.forward_modality(pairs.tower, pairs.items).float(), dim=-1)
                texts = self.encoder.forward_modality("text", pairs.captions).float()  # of the length 1 / temperature
                scores = media @ texts.T
                # A caption that stands twice in the batch is right for both: it is no contrast.
                same = (pairs.captions[:, None] == pairs.captions[None]).all(-1).fill_diagonal_(False)
                scores = scores.masked_fill(same, -1e4)
                answer = torch.arange(len(scores))
                losses.append((F.cross_entropy(scores, answer) + F.cross_entropy(scores.T, answer)) / 2)
                hits.append((scores.argmax(1) == answer).float().mean())
        names = [f"{name}_hits" for name in KINDS]
        return {"loss": torch.stack(losses).mean(), **dict(zip(names, hits, strict=True))}


def _captions_of_each_kind(rng: np.random.Generator) -> list[str]:
    """A canonical and a varied caption of one content of each modality."""
    contents = [draw(rng, "train") for draw, _, _ in KINDS.values()]
    return [text for content in contents for text in (canonical_caption(content), caption(content, rng, "train"))]


def pretrain_encoder(
    config: EncoderConfig,
    fit_config: FitConfig,
    *,
    folder: Path,
    work_folder: Path,
    report: Callable[[dict[str, float]], None] | None = None,
) -> None:
    """Train an encoder from nothing and write its folder, without the text tower that only training needs.

    ``config.text.vocabulary`` is what its tokenizer may have.
    """
    torch.manual_seed(fit_config.seed)
    trainer = ContrastiveTrainer(config, fit_config.seed)
    modules: dict[str, nn.Module] = {"encoder": trainer.encoder}
    fit(modules, trainer.draw_batch, trainer.loss, fit_config, work_folder, report=report)
    save_encoder(without_text_tower(trainer.encoder), folder, dtype=torch.bfloat16)


def without_text_tower(encoder: ImageBind) -> ImageBind:
    """The same encoder for media alone: text reaches the language model as words."""
    smaller = ImageBind(encoder.config.model_copy(update={"text": None}))
    state = encoder.state_dict()
    smaller.load_state_dict({name: state[name] for name in smaller.state_dict()})
    return smaller
