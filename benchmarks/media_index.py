"""Time and recall of a media index of random vectors: opening, exact search, and approximate search with faiss.

    python benchmarks/media_index.py [--items 100000] [--width 1024] [--queries 64] [--json]

Vectors are drawn around random centers, several per center, because embeddings of real captions form clusters; queries
are noisy copies of items. Seconds are wall-clock time, and CPU time of this process. Approximate search needs faiss.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nextgpt.data.index import MediaIndex
from nextgpt.data.index.approximate import build_lists, is_available, open_lists, search_lists
from nextgpt.data.index.encoders import normalize
from nextgpt.data.index.exact_search import search
from nextgpt.data.index.files import ITEMS, MANIFEST, OFFSETS, Manifest, ModalityRange, format_item
from nextgpt.data.record import MediaFile

ITEMS_PER_CENTER = 20
SPREAD, QUERY_NOISE = 0.7, 0.3
"""Standard deviations relative to the centers."""
K = 10


def timed(function: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """Return a result with its wall-clock and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = function()
    return result, {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}


def draw(items: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Return clustered unit vectors."""
    centers = rng.standard_normal((max(1, items // ITEMS_PER_CENTER), width), np.float32)
    vectors = centers[rng.integers(len(centers), size=items)]
    vectors += SPREAD * rng.standard_normal((items, width), np.float32)
    return normalize(vectors)


def write_index(folder: Path, vectors: np.ndarray, dtype: str) -> None:
    """Write an index whose captions and media have these vectors."""
    count = len(vectors)
    lines = [
        format_item(str(n), MediaFile("image", folder / f"{n}.png", caption=f"item {n}"), folder) for n in range(count)
    ]
    (folder / ITEMS).write_bytes(b"".join(lines))
    np.save(folder / OFFSETS, np.cumsum([0, *map(len, lines)]))
    np.save(folder / "image.mean.npy", np.zeros(vectors.shape[1], np.float32))
    for name in ("captions", "media"):
        np.save(folder / f"image.{name}.npy", vectors.astype(dtype))
    ranges = {"image": ModalityRange(start=0, count=count)}
    manifest = Manifest(model="random", corpora={}, components={}, dtype=dtype, ranges=ranges)
    (folder / MANIFEST).write_text(manifest.model_dump_json())


def measure(items: int, width: int, queries: int, folder: Path) -> list[dict[str, Any]]:
    """Return one row per operation."""
    rng = np.random.default_rng(0)
    vectors = draw(items, width, rng)
    noise = rng.standard_normal((queries, width), np.float32) / np.sqrt(width)
    asked = normalize(vectors[rng.integers(items, size=queries)] + QUERY_NOISE * noise)
    rows: list[dict[str, Any]] = []
    for dtype in ("float32", "float16"):
        _, seconds = timed(lambda dtype=dtype: write_index(folder, vectors, dtype))
        rows.append({"operation": f"write, {dtype}", **seconds})
        index, seconds = timed(lambda: MediaIndex.open(folder))
        rows.append({"operation": f"open, {dtype}", **seconds})
        _, seconds = timed(lambda index=index: [index.item(n) for n in range(0, items, max(1, items // 100))])
        rows.append({"operation": f"read 100 items, {dtype}", **seconds})
        stored = np.load(folder / "image.captions.npy", mmap_mode="r")
        exact, seconds = timed(lambda stored=stored: search(stored, asked, K))
        rows.append({"operation": f"exact, {dtype}, {queries} queries", **seconds})
        _, seconds = timed(lambda stored=stored: search(stored, asked[:1], K))
        rows.append({"operation": f"exact, {dtype}, 1 query", **seconds})
    if is_available():
        rows += _measure_lists(vectors, asked, exact[1], folder / "lists.faiss")
    return rows


def _measure_lists(vectors: np.ndarray, asked: np.ndarray, truth: np.ndarray, path: Path) -> list[dict[str, Any]]:
    _, building = timed(lambda: build_lists(vectors, path))
    lists, opening = timed(lambda: open_lists(path))
    (_, rows), searching = timed(lambda: search_lists(lists, asked, K))
    recall = np.mean([len(set(found) & set(best)) / K for found, best in zip(rows, truth, strict=True)])
    size = {"bytes_per_item": path.stat().st_size / len(vectors)}
    return [
        {"operation": "build lists (IVF, SQ8)", **building, **size},
        {"operation": "open lists", **opening},
        {"operation": f"approximate, {len(asked)} queries", **searching, f"recall@{K}": float(recall)},
    ]


def main() -> None:
    """Print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--queries", type=int, default=64)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(options.items, options.width, options.queries, Path(folder))
    if options.json:
        json.dump({"items": options.items, "width": options.width, "rows": rows}, sys.stdout)
        return
    for row in rows:
        numbers = ", ".join(f"{name} {value:.4g}" for name, value in row.items() if name != "operation")
        print(f"{row['operation']:<32}{numbers}")


if __name__ == "__main__":
    main()
