"""Values of a run's metrics, kept in its folder, so that a second scoring computes only what has changed.

A value is valid as long as everything that it depends on is the same: answers, items, extractor, code of the metrics.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

from nextgpt.evaluate.metrics import MetricResult
from nextgpt.evaluate.standard.run_folder import RESULTS_DIR, system_slug, write_file


@dataclass(frozen=True)
class ScoreRow:
    """One value of one system."""

    system: str
    metric: str
    """Name in the table of metrics; one metric may have several rows."""
    result: MetricResult
    item_ids: tuple[str, ...] = ()
    """Items of ``result.item_values``."""


@dataclass(frozen=True)
class ResultStore:
    """Rows by metric and system, in ``results/METRIC.SYSTEM.json``."""

    folder: Path
    """Folder of the run."""

    def get(
        self, metric: str, system: str, facts: Sequence[bytes], compute: Callable[[], Sequence[ScoreRow]]
    ) -> list[ScoreRow]:
        """Return the rows of a metric and a system, computed anew unless they are stored with the same ``facts``.

        Args:
            facts: Everything that the rows depend on besides the code of the metrics.
        """
        path = self.folder / RESULTS_DIR / f"{metric}.{system_slug(system)}.json"
        key = _hash([metrics_code_hash().encode(), system.encode(), *facts])
        content = _read(path)
        if content.get("key") != key:
            content = {"key": key, "rows": [asdict(row) for row in compute()]}
            write_file(path, json.dumps(content) + "\n")
            content = _read(path)  # so that stored and computed rows have the same types
        return [_to_row(values) for values in content["rows"]]


@lru_cache(maxsize=1)
def metrics_code_hash() -> str:
    """Return a hash of the source files that values depend on."""
    package = Path(__file__).parent
    paths = (package / "scoring.py", *sorted(package.parent.glob("metrics/*.py")))
    return _hash(path.read_bytes() for path in paths)


def _hash(parts: Any) -> str:
    digest = blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def _read(path: Path) -> dict[str, Any]:
    """Return the content of a file; empty if there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _to_row(values: dict[str, Any]) -> ScoreRow:
    result = MetricResult(**values["result"])
    return ScoreRow(values["system"], values["metric"], result, tuple(values["item_ids"]))
