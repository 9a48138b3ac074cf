"""Features of a run, computed once per medium and extractor and kept in its folder."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nextgpt.evaluate.run_folder import FEATURES_DIR, system_slug, write_file

Compute = Callable[[Sequence[str]], list[np.ndarray]]
"""Returns an array of vectors (k, d) for each name."""


@dataclass(frozen=True)
class FeatureStore:
    """Arrays by name, such as the path of a medium or a text; one file per extractor and source."""

    folder: Path
    """Folder of the run."""

    def get(self, extractor: str, source: str, names: Sequence[str], compute: Compute) -> list[np.ndarray]:
        """Return one array (k, d) per name; what is not stored is computed and stored.

        Args:
            extractor: Name of the extractor with the hash of its weights.
            source: Name of a system, or of the references.
        """
        path = self.folder / FEATURES_DIR / f"{system_slug(extractor)}.{system_slug(source)}.npz"
        known = _read(path)
        if missing := [name for name in dict.fromkeys(names) if name not in known]:
            known |= dict(zip(missing, compute(missing), strict=True))
            _write(path, known)
        return [known[name] for name in names]


def _read(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        return {}
    with np.load(path, allow_pickle=False) as file:
        arrays = np.split(file["vectors"], np.cumsum(file["counts"])[:-1])
        return dict(zip(file["names"].tolist(), arrays, strict=True))


def _write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    content = io.BytesIO()
    counts = np.array([len(array) for array in arrays.values()])
    np.savez(content, names=np.array(list(arrays)), counts=counts, vectors=np.concatenate(list(arrays.values())))
    write_file(path, content.getvalue())
