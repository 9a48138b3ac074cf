"""Recipe kind ``text_tower``: contrastive training of a text tower for a finished encoder (CLIP, arXiv 2103.00020).

The encoder is frozen, since the projections of a model were trained on its vectors. Therefore media are
rendered and encoded once, and each step compares captions with the vectors of all cached media of a modality. Captions
come from the templates and, because people write differently, from noun phrases and complete requests by authors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from pydantic import BaseModel, ConfigDict
from tokenizers import Tokenizer
from torch import Tensor

from nextgpt.atomic_files import write_atomically
from nextgpt.miniworld.language import canonical_caption
from nextgpt.miniworld.language.captions import caption
from nextgpt.miniworld.language.dialogue_state import sample_spec
from nextgpt.miniworld.language.phrasings import Author, load_authors, sample_phrased_dialogue
from nextgpt.miniworld.language.phrasings.requests import sample_request
from nextgpt.miniworld.language.phrasings.state import PhrasedState
from nextgpt.miniworld.render import render
from nextgpt.miniworld.specs import MediaSpec
from nextgpt.model.component_hash import TEXT_DIR, hash_encoder
from nextgpt.model.encoding import EncoderConfig, ImageBind, TextTower, load_encoder, save_encoder
from nextgpt.nano.component_training import DrawnBatch, train_component
from nextgpt.nano.tokenizer import train_tokenizer
from nextgpt.train.logging import MetricsCallback
from nextgpt.train.parameter_report import ParameterCount
from nextgpt.train.recipe import BaseRecipe
from nextgpt.train.registry import require_component
from nextgpt.train.trainer import Objective

CACHE_FILE = "captioned-vectors.pt"
REQUEST_TASKS = {"image": ("text_to_image",), "audio": ("text_to_audio", "speech"), "video": ("text_to_video",)}
REQUEST_SHARE = 0.4
"""Share of complete requests among the texts of authors; others are noun phrases."""
NO_ARTICLE_SHARE = 0.3
"""Share of noun phrases that lose their article, as in search queries."""
ARTICLES = ("a", "an", "the", "some")
TEMPLATE_CAPTIONS = 2
"""Captions from the templates per medium, besides its canonical caption."""
ENCODE_BATCH_SIZE = 64
LENGTH_GROUPS = 4
"""Forward passes per modality and step."""


class TextData(BaseModel):
    """Size of the training data of one modality."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_media: int
    """Maximum number of different media."""
    num_phrases: int
    """Number of sampled texts of authors; those about media beyond ``num_media`` are dropped."""
    batch_share: float
    """Share of the batch."""


class Config(BaseRecipe):
    """Train the text tower of the encoder in ``model``, and its tokenizer."""

    kind: Literal["text_tower"]
    text: TextTower
    """``vocabulary`` is the maximum size of the tokenizer."""
    data: dict[Literal["image", "audio", "video"], TextData]

    @property
    def encoder_dir(self) -> Path:
        """Return the folder of the encoder."""
        return self.model / "encoder"

    @property
    def output_dir(self) -> Path:
        """Return the folder of the text tower."""
        return self.encoder_dir / TEXT_DIR

    @property
    def sample_unit(self) -> str:
        """Return what ``fit.batch_size`` counts."""
        return "caption"


@dataclass(frozen=True, eq=False)
class CaptionedVectors:
    """Vectors of the media of one modality, and the token ids of their captions."""

    vectors: Float[Tensor, "N E"]
    captions: Int[Tensor, "M T"]
    media: Int[Tensor, " M"]
    """Row of the medium of each caption."""


class TextTowerObjective(Objective):
    """Contrastive objective of a text tower against cached media vectors."""

    loss_weights: Mapping[str, float] = {"contrast": 1.0}

    def __init__(self, config: EncoderConfig, tokenizer: Tokenizer, data: Mapping[str, CaptionedVectors]) -> None:
        super().__init__()
        self.encoder = ImageBind(config, tokenizer)
        self.data = data
        self.metric_names = [f"{modality}_hits" for modality in data]

    def forward(self, batch: DrawnBatch) -> dict[str, Tensor]:
        """Return the loss averaged over modalities, and the share of captions that match their own medium best."""
        losses, metrics = [], {}
        for modality, rows in batch.data.items():
            data = self.data[modality]
            captions, targets = data.captions[rows], data.media[rows]
            logits = self._embed(captions) @ data.vectors.T  # (B, N)
            losses.append((F.cross_entropy(logits, targets) + _media_to_text_loss(logits, targets)) / 2)
            metrics[f"{modality}_hits"] = (logits.argmax(1) == targets).float().mean()
        return {"contrast": torch.stack(losses).mean(), **metrics}

    def _embed(self, captions: Int[Tensor, "B T"]) -> Float[Tensor, "B E"]:
        """Return vectors of norm 1 / temperature; captions of similar length are padded together, as most are short."""
        order = (captions != 0).sum(dim=1).argsort()
        groups = [_without_padding(captions[rows]) for rows in order.chunk(LENGTH_GROUPS)]
        vectors = torch.cat([self.encoder.forward_modality("text", group).float() for group in groups])
        return vectors[order.argsort()]


def _without_padding(captions: Int[Tensor, "B T"]) -> Int[Tensor, "B T2"]:
    """Drop the columns that are padding (0) in every row."""
    return captions[:, : int((captions != 0).sum(dim=1).max())]


def _media_to_text_loss(logits: Float[Tensor, "B N"], targets: Int[Tensor, " B"]) -> Tensor:
    """Return the loss of choosing the caption of each medium among those of the batch."""
    scores = logits[:, targets].T  # (B media, B captions)
    # Other captions of the same medium are no negatives.
    is_same = (targets[:, None] == targets[None]).fill_diagonal_(False)
    return F.cross_entropy(scores.masked_fill(is_same, -1e4), torch.arange(len(scores), device=scores.device))


def run(recipe: Config, on_metrics: MetricsCallback | None = None) -> bool:
    """Cache vectors and captions, train the tower, and write it into the encoder's folder."""
    tokenizer, data = _load_or_compute_data(recipe)
    torch.manual_seed(recipe.fit.seed)
    width = next(iter(data.values())).vectors.shape[1]
    objective = TextTowerObjective(_text_config(recipe, width, tokenizer), tokenizer, data)

    def draw_batch(rng: np.random.Generator, size: int) -> dict[str, np.ndarray]:
        shares = {modality: settings.batch_share for modality, settings in recipe.data.items()}
        return {
            modality: rng.integers(len(data[modality].media), size=max(2, round(size * share)))
            for modality, share in shares.items()
        }

    if not train_component(recipe, objective, draw_batch, on_metrics):
        return False
    save_encoder(objective.encoder, recipe.output_dir, dtype=torch.bfloat16)
    return True


def count_parameters(recipe: Config) -> list[ParameterCount]:
    """Count the parameters of the tower."""
    encoder = cast(ImageBind, load_encoder(require_component(recipe.encoder_dir)))
    with torch.device("meta"):
        tower = ImageBind(_media_free(recipe.text, encoder.width))
    return [ParameterCount.of("text tower", tower), ParameterCount.of("encoder", encoder.requires_grad_(False))]


def _media_free(text: TextTower, width: int) -> EncoderConfig:
    return EncoderConfig(width=width, vision=None, audio=None, text=text)


def _text_config(recipe: Config, width: int, tokenizer: Tokenizer) -> EncoderConfig:
    ids = {"start_token_id": None, "end_token_id": _end_token_id(tokenizer)}
    return _media_free(recipe.text.model_copy(update={"vocabulary": tokenizer.get_vocab_size(), **ids}), width)


def _end_token_id(tokenizer: Tokenizer) -> int:
    return tokenizer.encode("").ids[-1]


def _load_or_compute_data(recipe: Config) -> tuple[Tokenizer, dict[str, CaptionedVectors]]:
    """Return tokenizer and data from the cache of this recipe and encoder, or fill it."""
    path = recipe.work / CACHE_FILE
    require_component(recipe.encoder_dir)
    sizes = {name: (row.num_media, row.num_phrases) for name, row in recipe.data.items()}
    settings = (recipe.text.vocabulary, recipe.text.positions, recipe.fit.seed, sizes)
    key = repr((hash_encoder(recipe.encoder_dir), settings))
    stored: dict[str, Any] = torch.load(path, weights_only=True) if path.is_file() else {}
    if stored.get("key") == key:
        data = {modality: CaptionedVectors(*values) for modality, values in stored["data"].items()}
        return Tokenizer.from_str(stored["tokenizer"]), data
    tokenizer, data = compute_data(recipe)
    tensors = {modality: (rows.vectors, rows.captions, rows.media) for modality, rows in data.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"key": key, "tokenizer": tokenizer.to_str(), "data": tensors}
    write_atomically(path, lambda file: torch.save(content, file))
    return tokenizer, data


def compute_data(recipe: Config) -> tuple[Tokenizer, dict[str, CaptionedVectors]]:
    """Draw captions, train a tokenizer on them, and encode their media."""
    encoder = cast(ImageBind, load_encoder(recipe.encoder_dir))
    rng = np.random.default_rng(recipe.fit.seed)
    authors = load_authors("train")
    texts = {name: draw_captions(rng, name, settings, authors) for name, settings in recipe.data.items()}
    words = [text for by_spec in texts.values() for captions in by_spec.values() for text in captions]
    trained = train_tokenizer(words, recipe.text.vocabulary, for_captions=True, is_lower_case=True)
    tokenizer = trained.backend_tokenizer
    reader = ImageBind(_text_config(recipe, encoder.width, tokenizer), tokenizer)
    data = {}
    for modality, by_spec in texts.items():
        captions = [(row, text) for row, captions in enumerate(by_spec.values()) for text in captions]
        data[modality] = CaptionedVectors(
            _encode_specs(encoder, list(by_spec)),
            reader.tokenize([text for _, text in captions]),
            torch.tensor([row for row, _ in captions]),
        )
    return tokenizer, data


def draw_captions(
    rng: np.random.Generator, modality: str, settings: TextData, authors: Sequence[Author]
) -> dict[MediaSpec, list[str]]:
    """Return different specs of the training split, each with at least one caption."""
    texts: dict[MediaSpec, list[str]] = {}
    for words, spec in _draw_phrases(rng, modality, settings.num_phrases, authors):
        if spec in texts or len(texts) < settings.num_media // 2:
            texts.setdefault(spec, []).append(words)
    for _ in range(settings.num_media - len(texts)):
        texts.setdefault(sample_spec(rng, modality, "train"), [])
    for spec, captions in texts.items():
        captions.append(canonical_caption(spec))
        captions += [caption(spec, rng, "train") for _ in range(TEMPLATE_CAPTIONS)]
    return texts


def _draw_phrases(
    rng: np.random.Generator, modality: str, count: int, authors: Sequence[Author]
) -> Iterator[tuple[str, MediaSpec]]:
    """Yield noun phrases and requests in authors' words, each with its spec."""
    tasks = REQUEST_TASKS[modality]
    for _ in range(count):
        if rng.random() < REQUEST_SHARE:
            (turn,) = sample_phrased_dialogue(rng, authors, tasks[int(rng.integers(len(tasks)))]).turns
            yield turn.user_text, turn.target_media[0].spec
            continue
        state = PhrasedState(rng, "train", author=authors[int(rng.integers(len(authors)))])
        request = sample_request(state, modality)
        if request is not None:
            yield _as_query(rng, request.phrase), request.spec


def _as_query(rng: np.random.Generator, phrase: str) -> str:
    """Return a noun phrase, at times without its article."""
    article, _, rest = phrase.partition(" ")
    return rest if article in ARTICLES and rest and rng.random() < NO_ARTICLE_SHARE else phrase


def _encode_specs(encoder: ImageBind, specs: Sequence[MediaSpec]) -> Float[Tensor, "N E"]:
    """Render and encode specs; only one batch of media is in memory at a time."""
    starts = range(0, len(specs), ENCODE_BATCH_SIZE)
    return torch.cat([
        encoder.embed_media([render(spec) for spec in specs[start : start + ENCODE_BATCH_SIZE]]) for start in starts
    ])  # fmt: skip
