"""Settings of a build. ``nextgpt data build RECIPE.yaml [key.sub=value]...`` reads them from YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from nextgpt.config import Config, parse_config
from nextgpt.data.build.row import Kind
from nextgpt.modality import MODALITIES
from nextgpt.yaml_settings import apply_override, read_settings

Share = Annotated[float, Field(ge=0, le=1)]
ExportFormat = Literal["messages", "tars", "sharegpt", "parquet"]

MIXES: dict[str, tuple[str, ...]] = {
    "text": (),
    "image": ("image",),
    "audio": ("audio",),
    "video": ("video",),
    "image+audio": ("image", "audio"),
    "audio+video": ("audio", "video"),
    "image+video": ("image", "video"),
    "image+audio+video": ("image", "audio", "video"),
}
"""Modalities of a dialogue besides text, by the name of the mix."""


class EndpointConfig(Config):
    """An OpenAI-compatible endpoint and how it is used."""

    urls: tuple[str, ...]
    """Base URLs that end before ``/chat/completions``; requests are spread over them. ``mock`` needs no server."""
    model: str
    api_key_env: str | None = None
    """Environment variable that holds the key."""
    structured: Literal["auto", "json_schema", "prompt"] = "auto"
    """Send the schema as ``response_format``; ``auto`` stops to do so where the endpoint refuses it."""
    temperature: float | None = 0.8
    """``None`` leaves it out of requests, for models that accept only their own."""
    max_tokens: int = Field(1500, ge=16)
    max_tokens_key: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """Name of the limit in requests."""
    concurrency: int = Field(8, ge=1)
    """Requests in flight."""
    tries: int = Field(8, ge=1)
    """Attempts per request before its dialogue stays pending."""
    timeout_s: float = Field(120, gt=0)
    max_wait_s: float = Field(60, ge=0)
    """Longest pause before another attempt; a longer ``Retry-After`` is cut to it."""
    max_answer_bytes: int = Field(2**20, ge=1024)
    """Larger answers are cut off and count as invalid."""
    price_input: float = Field(0, ge=0)
    """Price of a million input tokens, in any currency."""
    price_output: float = Field(0, ge=0)
    """Price of a million output tokens."""


class MediaEndpointConfig(Config):
    """Routes that generate media: ``/images/generations``, ``/audio/generate`` and ``/videos/sync``."""

    url: str
    """Base URL that ends before the route."""
    model: str | None = None
    api_key_env: str | None = None
    modalities: tuple[str, ...] = ("image",)
    price: float = Field(0, ge=0)
    """Price per medium."""
    licence: str = "generated"
    timeout_s: float = Field(300, gt=0)
    tries: int = Field(6, ge=1)
    max_wait_s: float = Field(60, ge=0)


class MediaConfig(Config):
    """Where media come from."""

    mode: Literal["synthesize", "retrieve", "auto", "none"] = "synthesize"
    """``auto`` retrieves above the threshold and synthesizes otherwise; ``none`` exports captions only."""
    model: str = "nano"
    """Model whose synthesizers generate media and whose encoder ranks them."""
    endpoint: MediaEndpointConfig | None = None
    """Generates its modalities instead of ``model``."""
    candidates: int = Field(2, ge=1)
    """Media per caption; the best by the encoder is chosen and all are kept for the review."""
    licence: str = "Apache-2.0"
    """Licence of media that ``model`` generates."""
    batch_size: int = Field(16, ge=1)
    num_inference_steps: int | None = Field(None, ge=1)
    index: Path | None = None
    """Folder that ``nextgpt data index`` wrote."""
    threshold: float | None = None
    """Minimum score of a retrieved medium. Default: the calibrated one of the index, or 0.8."""
    max_reuse: int = Field(3, ge=1)
    """Dialogues that may show the same retrieved medium."""


class CheckConfig(Config):
    """Limits of the texts."""

    max_words_per_text: int = 120
    max_words: int = 700
    """Words per dialogue."""
    max_caption_words: int = 40
    max_copied: Share = 0.4
    """Share of a text's 5-grams that may occur in the demonstrations of the prompt."""
    max_similarity: Share = 0.7
    """Jaccard similarity of 3-word shingles above which the later dialogue is a near duplicate."""


class FilterConfig(Config):
    """Limits of finished dialogues."""

    licences: tuple[str, ...] = (
        "Apache-2.0", "MIT", "BSD-3-Clause", "CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0", "public domain", "generated",
    )  # fmt: skip
    """Accepted licences of media; the case does not matter."""
    personal_data: bool = True
    """Drop dialogues with e-mail addresses, phone, card, bank account or IP numbers."""
    max_hash_distance: int = Field(-1, ge=-1, le=64)
    """Bits between perceptual hashes of images and videos up to which they are equal; -1 is off."""
    max_media_similarity: float | None = None
    """Cosine of encoder vectors above which media of different dialogues are equal; ``None`` is off."""
    min_score: float | None = None
    """Minimum score of synthesized media; ``None`` is off."""
    nsfw: Literal["nudenet"] | None = None
    """Package that finds nudity in images and videos: ``pip install nudenet``."""


class BuildRecipe(Config):
    """A set to build."""

    kind: Kind
    name: str = "dialogues"
    work: Path
    """Folder of stages, caches and exports."""
    seed: int = 0
    dialogues: int = Field(ge=1)
    """Planned dialogues; dropped ones are not replaced."""
    llm: EndpointConfig
    budget: float | None = Field(None, ge=0)
    """Maximum price of all requests, in the currency of the prices."""
    topics: tuple[str, ...] = ()
    """Topics, or files of topics; the package's own if empty."""
    corpus: Path | None = None
    """Captions that ``t2x`` and ``x2t`` are written about; any format of ``nextgpt data formats``."""
    corpus_media: Path | None = None
    """Folder of the corpus's media, if it is not beside it."""
    languages: dict[str, float] = Field({"en": 1.0})
    """Weight of each language."""
    turns: tuple[int, int] = (3, 7)
    """Minimum and maximum number of requests with their replies."""
    mixes: dict[str, float] = Field(dict.fromkeys(MIXES, 1.0))
    """Weight of each mix of modalities."""
    both_sides: Share = 0.7
    """Share of the dialogues with media in which users show media too."""
    contains: dict[Literal["implicit", "edit", "cross_modal", "refusal"], Share] = Field(
        {"implicit": 0.5, "edit": 0.3, "cross_modal": 0.3, "refusal": 0.1}
    )
    """Share of all dialogues that contain such a turn."""
    demonstrations: int = Field(2, ge=0)
    """Examples in each prompt."""
    media: MediaConfig = MediaConfig()
    checks: CheckConfig = CheckConfig()
    filters: FilterConfig = FilterConfig()
    export: tuple[ExportFormat, ...] = ("messages", "tars", "sharegpt")
    """Formats; ``parquet`` needs pyarrow."""

    @model_validator(mode="after")
    def _validate(self) -> BuildRecipe:
        low, high = self.turns
        if not 1 <= low <= high <= 20:
            raise ValueError(f"turns: got {low} to {high}; expected 1 to 20, the smaller number first")
        if unknown := set(self.mixes) - set(MIXES):
            raise ValueError(f"mixes: got {', '.join(sorted(unknown))}; expected names of {', '.join(MIXES)}")
        for name, weights in (("mixes", self.mixes), ("languages", self.languages)):
            if not weights or min(weights.values()) < 0 or sum(weights.values()) <= 0:
                raise ValueError(f"{name}: got {weights}; expected weights of at least 0 with a positive sum")
        if self.kind == "x2t" and self.corpus is None:
            raise ValueError("corpus: got none; expected a corpus of captioned media, which x2t asks about")
        if self.media.mode in ("retrieve", "auto") and self.media.index is None:
            raise ValueError(f"media.index: got none; expected a folder of nextgpt data index for {self.media.mode}")
        if self.media.endpoint and (extra := set(self.media.endpoint.modalities) - set(MODALITIES)):
            raise ValueError(f"media.endpoint.modalities: got {', '.join(sorted(extra))}; expected {list(MODALITIES)}")
        return self


def normalized(weights: Mapping[str, float]) -> dict[str, float]:
    """Return weights that sum to 1."""
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}


def read_build_recipe(path: Path, overrides: Sequence[str] = ()) -> BuildRecipe:
    """Read a recipe. Raises :class:`~nextgpt.errors.ConfigError` that names the wrong key or value."""
    values = read_settings(path, examples="recipes/data/")
    for override in overrides:
        apply_override(values, override, sections=BuildRecipe.model_fields)
    return parse_config(BuildRecipe, values, where=str(path))
