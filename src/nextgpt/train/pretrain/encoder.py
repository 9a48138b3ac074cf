"""Pretraining of the encoder: media and their captions meet in one space, by contrast (CLIP, arXiv 2103.00020).

As in ImageBind, one tower binds the others; there it is vision, here it is text, since every content of the small
world has a caption. Batches hold families of contents that differ in one attribute alone, so that a vector must carry
place, tint, pitch and motion, and not only what the object is; :mod:`.attributes` asks for the same outright, and alone
where an encoder is refined.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from nextgpt.message import Audio, Medium
from nextgpt.miniworld import sample_specs as sampling
from nextgpt.miniworld.language import canonical_caption
from nextgpt.miniworld.language.captions import caption
from nextgpt.miniworld.specs import ClipSpec, MediaSpec, SceneSpec
from nextgpt.miniworld.splits import is_held_out
from nextgpt.model.encoding import EncoderConfig, ImageBind, load_encoder, save_encoder
from nextgpt.train.fit import TrainerConfig, fit
from nextgpt.train.own_media import OwnMedia
from nextgpt.train.pretrain.attention import float32_attention
from nextgpt.train.pretrain.attributes import AttributeReadout, TokenReadout, labels_of
from nextgpt.train.pretrain.tokenizer import train_tokenizer

TOKENIZER_ROUNDS = 4000
FAMILY = 4
"""Contents of a batch that are relatives: the same but for one attribute."""
CANONICAL_SHARE = 0.5
"""How often the caption is the full canonical one; otherwise it is varied and may leave attributes out."""
CROWDED_SHARES = (0.25, 0.4, 0.35)
"""How often a picture holds one, two or three objects where an encoder is refined."""
MOST_DELAY = 12
"""Columns of 10 ms."""
MOST_SILENT_BANDS = 12
KINDS: dict[str, tuple[Callable[..., MediaSpec], str, float]] = {
    "image": (sampling.sample_scene, "vision", 0.6),
    "audio": (sampling.sample_sound, "audio", 0.2),
    "video": (sampling.sample_clip, "vision", 0.2),
}
"""For each modality: how contents are drawn, the tower that sees them, and their share of a batch."""


@dataclass(frozen=True)
class Pairs:
    """Media of one modality beside the token ids of their captions and the values of their attributes."""

    modality: str
    items: Tensor
    captions: Tensor | None
    labels: Tensor


def relatives(content: MediaSpec, draw: Callable[[], MediaSpec], rng: np.random.Generator) -> list[MediaSpec]:
    """``FAMILY`` contents: the given one and others that each took one attribute from a stranger."""
    family = [content]
    while len(family) < FAMILY:
        changed = _with_one_attribute_of(content, draw(), rng)
        if not is_held_out(changed):
            family.append(changed)
    return family


def _with_one_attribute_of(content: MediaSpec, stranger: MediaSpec, rng: np.random.Generator) -> MediaSpec:
    if isinstance(content, SceneSpec):
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


def crowded_scene(rng: np.random.Generator) -> SceneSpec:
    """A picture that holds several objects more often than not: those are read last."""
    return sampling.sample_scene(rng, "train", count=int(rng.choice(3, p=CROWDED_SHARES)) + 1)


@lru_cache(maxsize=4096)
def _clip_of_sound(encoder: ImageBind, sound: Audio) -> Tensor:
    """A sound as its tower takes it; there are few different ones, and filter banks are slow."""
    return encoder.preprocess(sound)[0]


def clip_of(encoder: ImageBind, medium: Medium) -> Tensor:
    """A medium as its tower takes it, where that is one clip."""
    return _clip_of_sound(encoder, medium) if isinstance(medium, Audio) else encoder.preprocess(medium)[0]


def varied_sounds(
    items: Float[Tensor, "B 1 mels frames"], rng: np.random.Generator
) -> Float[Tensor, "B 1 mels frames"]:
    """The same sounds a little later, louder, noisier and with some bands silent.

    There are few hundred sounds; without this a tower knows them by heart, and no others.
    """
    varied = []
    for item in items.numpy():
        item = np.roll(item, int(rng.integers(-MOST_DELAY, MOST_DELAY + 1)), axis=-1)
        item = item + rng.normal(0, 0.2) + rng.normal(0, rng.uniform(0, 0.3), item.shape)
        first = int(rng.integers(item.shape[-2]))
        item[:, first : first + int(rng.integers(MOST_SILENT_BANDS))] = item.min()
        varied.append(item.astype(np.float32))
    return torch.from_numpy(np.stack(varied))


@torch.no_grad()
def place_patches(encoder: ImageBind) -> None:
    """Start the positions of pictures at sines and cosines of row and column, as loud as the patches themselves.

    Small random positions drown in the colours of the patches, and what stands where is then learned late or never.
    """
    table = encoder.modality_preprocessors["vision"].pos_embedding_helper.pos_embed  # (1, 1 + P, D)
    side = math.isqrt(table.shape[1] - 1)
    if side**2 != table.shape[1] - 1:
        return  # several moments: a film's positions are learned as they are
    rates = torch.linspace(math.pi / side, math.pi, table.shape[2] // 4)
    angles = (torch.arange(side)[:, None] + 0.5) * rates  # (side, D / 4)
    waves = torch.cat((angles.sin(), angles.cos()), dim=1)
    rows, columns = waves.repeat_interleave(side, dim=0), waves.repeat(side, 1)
    table[0, 1:] = torch.cat((rows, columns), dim=1)


class ContrastiveTrainer:
    """An encoder in training, with a tokenizer of its own."""

    has_contrast = True
    """Whether captions are drawn and met; an encoder that is refined learns from attributes alone."""

    def __init__(self, config: EncoderConfig, seed: int, own: OwnMedia = OwnMedia()) -> None:
        self.own = own
        rng = np.random.default_rng(seed)
        texts = [text for _ in range(TOKENIZER_ROUNDS) for text in _captions_of_each_kind(rng)]
        tokenizer = train_tokenizer(texts, config.text.vocabulary, for_captions=True)
        tower = config.text.model_copy(
            update={
                "vocabulary": len(tokenizer),
                "start_token_id": None,
                "end_token_id": tokenizer.eos_token_id,
            }
        )
        self.encoder = ImageBind(config.model_copy(update={"text": tower}), tokenizer.backend_tokenizer)
        self.readout = AttributeReadout(config.width)
        self.token_readout = TokenReadout(config.width) if config.features == "tokens" else None
        place_patches(self.encoder)

    def refine(self, elder: ImageBind) -> None:
        """Go on from another encoder's towers of media, by attributes alone."""
        self.has_contrast = False
        # The elder lacks the text tower, which stays as it is and unused; anything else that differs is an error.
        text_tower = {name: value for name, value in self.encoder.state_dict().items() if ".text." in name}
        self.encoder.load_state_dict(text_tower | elder.state_dict())
        self.encoder.tower("text").requires_grad_(False)

    def compile(self) -> None:
        """Compile the towers of media, whose batches all have one shape; captions differ in length."""
        for tower in {tower for _, tower, _ in KINDS.values()}:
            self.encoder.modality_trunks[tower].compile(dynamic=False)

    def draw_batch(self, rng: np.random.Generator, size: int) -> list[Pairs]:
        """Draw pairs of every modality, in families."""
        batch = []
        for modality, (draw, _, share) in KINDS.items():
            draw_one = partial(draw, rng, "train")
            if modality == "image" and not self.has_contrast:
                draw_one = partial(crowded_scene, rng)
            contents: list[MediaSpec] = []
            while len(contents) < size * share:
                if self.has_contrast:
                    contents += relatives(draw_one(), draw_one, rng)
                else:
                    contents.append(self.own.content(rng, modality, draw_one))
            contents = [replace(c, sound=None) if isinstance(c, ClipSpec) else c for c in contents]
            captions = self._captions(contents, rng) if self.has_contrast else None
            items = torch.stack(
                [clip_of(self.encoder, self.own.medium(rng, content)) for content in contents]
            )
            if modality == "audio":
                items = varied_sounds(items, rng)
            labels = labels_of(modality, contents)
            batch.append(Pairs(modality, items, captions, labels))
        return batch

    def _captions(self, contents: list[MediaSpec], rng: np.random.Generator) -> Tensor:
        texts = [
            canonical_caption(c) if rng.random() < CANONICAL_SHARE else caption(c, rng, "train")
            for c in contents
        ]
        return self.encoder.tokenize(texts)

    def loss(self, batch: list[Pairs], noise: torch.Generator) -> dict[str, Tensor]:
        """The contrastive loss among the pairs of one modality, and the attributes', each averaged over modalities."""
        contrasts, readings, shares = [], [], {}
        with float32_attention():
            for pairs in batch:
                tower = KINDS[pairs.modality][1]
                tokens = self.encoder.forward_tokens(tower, pairs.items).float()
                vectors = self.encoder.modality_postprocessors[tower](tokens[:, 0])
                if pairs.captions is not None:
                    contrast, shares[f"{pairs.modality}_hits"] = self._contrast(vectors, pairs.captions)
                    contrasts.append(contrast)
                read, right = self.readout(pairs.modality, vectors, pairs.labels)
                readings.append(read)
                shares[f"{pairs.modality}_read"] = right
                if self.token_readout is not None:
                    read, right = self.token_readout(pairs.modality, tokens, pairs.labels)
                    readings.append(read)
                    shares[f"{pairs.modality}_tokens_read"] = right
        losses = {"attributes": torch.stack(readings).mean()}
        if contrasts:
            losses["contrast"] = torch.stack(contrasts).mean()
        return {"loss": torch.stack(list(losses.values())).sum(), **losses, **shares}

    def _contrast(self, vectors: Tensor, captions: Tensor) -> tuple[Tensor, Tensor]:
        """The contrastive loss between media and captions, and the share of media that find their own."""
        texts = self.encoder.forward_modality("text", captions).float()  # of the length 1 / temperature
        scores = F.normalize(vectors, dim=-1) @ texts.T
        # A caption that stands twice in the batch is right for both: it is no contrast.
        same = (captions[:, None] == captions[None]).all(-1).fill_diagonal_(False)
        scores = scores.masked_fill(same, -1e4)
        answer = torch.arange(len(scores))
        loss = (F.cross_entropy(scores, answer) + F.cross_entropy(scores.T, answer)) / 2
        return loss, (scores.argmax(1) == answer).float().mean()


def _captions_of_each_kind(rng: np.random.Generator) -> list[str]:
    """A canonical and a varied caption of one content of each modality."""
    contents = [draw(rng, "train") for draw, _, _ in KINDS.values()]
    return [
        text for content in contents for text in (canonical_caption(content), caption(content, rng, "train"))
    ]


def pretrain_encoder(
    config: EncoderConfig,
    fit_config: TrainerConfig,
    *,
    folder: Path,
    work_folder: Path,
    is_refined: bool = False,
    own: OwnMedia = OwnMedia(),
    report: Callable[[dict[str, float]], None] | None = None,
) -> None:
    """Train an encoder and write its folder, without the text tower that only training needs.

    ``config.text.vocabulary`` is what its tokenizer may have. With ``is_refined`` it goes on from the encoder that
    stands in ``folder``, and sees what the model made itself beside true renderings.
    """
    torch.manual_seed(fit_config.seed)
    trainer = ContrastiveTrainer(config, fit_config.seed, own)
    if is_refined:
        trainer.refine(load_encoder(folder))
    if fit_config.compile:
        trainer.compile()
    modules: dict[str, nn.Module] = {"encoder": trainer.encoder, "readout": trainer.readout}
    if trainer.token_readout is not None:
        modules["token_readout"] = trainer.token_readout
    fit(modules, trainer.draw_batch, trainer.loss, fit_config, work_folder, report=report)
    save_encoder(without_text_tower(trainer.encoder), folder, dtype=torch.bfloat16)


def without_text_tower(encoder: ImageBind) -> ImageBind:
    """The same encoder for media alone: text reaches the language model as words."""
    smaller = ImageBind(encoder.config.model_copy(update={"text": None}))
    state = encoder.state_dict()
    smaller.load_state_dict({name: state[name] for name in smaller.state_dict()})
    return smaller
