"""Features of a run, computed once per content and extractor and kept in its folder."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np

from nextgpt.evaluate.standard.run_folder import FEATURES_DIR, write_file
from nextgpt.media.limits import media_error

SEGMENT = 256
"""Vectors of at most this number of media are lost when a run is killed."""
Compute = Callable[[Sequence[int]], list[np.ndarray]]
"""Takes indices of contents; returns an array of vectors (k, d) for each."""


class FeatureStore:
    """Arrays by extractor and content. Media of equal content share their features, whatever system they are of.

    ``features/EXTRACTOR/00000.npz`` and the following are written once each and never changed.

    Args:
        folder: Folder of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FEATURES_DIR
        self._arrays: dict[str, dict[str, np.ndarray]] = {}
        self._file_keys: dict[Path, str] = {}

    def media(self, extractor: str, paths: Sequence[Path], compute: Compute) -> list[np.ndarray]:
        """Return one array (k, d) per file; what is not stored is computed and stored.

        Args:
            extractor: Name of the extractor with the hash of its weights.

        Raises:
            MediaError: A file cannot be read.
        """
        return self._get(extractor, [self._file_key(path) for path in paths], compute)

    def texts(self, extractor: str, texts: Sequence[str], compute: Compute) -> list[np.ndarray]:
        """Return one array (k, d) per text; see :meth:`media`."""
        return self._get(f"{extractor}-texts", [_hash(text.encode()) for text in texts], compute)

    def _get(self, extractor: str, keys: Sequence[str], compute: Compute) -> list[np.ndarray]:
        folder = self._folder / extractor
        if extractor not in self._arrays:
            self._arrays[extractor] = _read_segments(folder)
        known = self._arrays[extractor]
        missing = list({key: index for index, key in enumerate(keys) if key not in known}.values())
        for start in range(0, len(missing), SEGMENT):
            indices = missing[start : start + SEGMENT]
            arrays = dict(zip((keys[index] for index in indices), compute(indices), strict=True))
            _write_segment(folder, arrays)
            known |= arrays
        return [known[key] for key in keys]

    def _file_key(self, path: Path) -> str:
        if path not in self._file_keys:
            try:
                self._file_keys[path] = _hash(path.read_bytes())
            except OSError as error:
                problem = f"cannot be read ({error.strerror})"
                raise media_error(str(path), problem, "the file of an answer", "Choose another --out.") from None
        return self._file_keys[path]


def _hash(content: bytes) -> str:
    return blake2b(content, digest_size=16).hexdigest()


def _read_segments(folder: Path) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    for path in sorted(folder.glob("*.npz")):
        with np.load(path, allow_pickle=False) as file:
            rows = np.split(file["vectors"], np.cumsum(file["counts"])[:-1])
            arrays |= zip(file["names"].tolist(), rows, strict=True)
    return arrays


def _write_segment(folder: Path, arrays: Mapping[str, np.ndarray]) -> None:
    content = io.BytesIO()
    counts = np.array([len(array) for array in arrays.values()])
    np.savez(content, names=np.array(list(arrays)), counts=counts, vectors=np.concatenate(list(arrays.values())))
    write_file(folder / f"{len(list(folder.glob('*.npz'))):05d}.npz", content.getvalue())
