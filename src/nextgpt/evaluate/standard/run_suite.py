"""Run a suite of standard tasks: sample items, answer them with each system, score, write the tables.

``all-small`` runs every suite on an export of the small world's held-out split.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nextgpt.errors import ConfigError
from nextgpt.evaluate.metrics import get_metric
from nextgpt.evaluate.standard.answering import answer_items
from nextgpt.evaluate.standard.item_sources import sample_items
from nextgpt.evaluate.standard.item_systems.registry import EvaluatedModel, SystemContext, check_system, create_system
from nextgpt.evaluate.standard.media_features import Extractors, find_extractors
from nextgpt.evaluate.standard.protocols import ALL_SMALL, PROTOCOLS, Protocol
from nextgpt.evaluate.standard.run_folder import (
    REPORT_FILE,
    SCORES_FILE,
    RunFolder,
    RunManifest,
    create_run,
    data_fingerprint,
    lock_run,
    model_fingerprint,
    write_file,
)
from nextgpt.evaluate.standard.score_report import all_to_markdown, scores_to_dict, scores_to_markdown
from nextgpt.evaluate.standard.scoring import SHUFFLED, TRUTH, check_metric, item_scores, score_run, select_metrics
from nextgpt.logging import ProgressCallback

BATCH_SIZE = 16
"""Items per batch, which a killed run may lose."""
DEFAULT_LIMIT = 200
"""Default items of a suite."""
SMALL_LIMIT = 40
"""Default items per suite of :data:`~nextgpt.evaluate.standard.protocols.ALL_SMALL`."""
SMALL_DATA_DIR = "data"
"""Folder of the export inside the output folder."""


@dataclass(frozen=True)
class StandardOptions:
    """Options of a run of standard suites."""

    model: str
    out: Path
    data: Path | None = None
    """Folder of the corpus; the export of the small world if ``None``, for ``all-small`` only."""
    systems: Sequence[str] = ()
    """Systems besides the suite's own; ``truth`` and ``shuffled`` are always run."""
    limit: int | None = None
    seed: int = 0
    num_inference_steps: int | None = None
    metrics: Sequence[str] = ()
    """Metrics; those of the suite if empty."""
    extractors: Sequence[str] = ()
    """Names of extractors, with ``=PATH`` of their weights."""
    on_progress: ProgressCallback = field(default=lambda *_: None)


@dataclass(frozen=True)
class Parts:
    """What all suites of a run share; everything in it is loaded on first use."""

    model: EvaluatedModel
    extractors: Extractors


def run_standard(suite: str, options: StandardOptions) -> dict[str, Any]:
    """Run a suite, or all; return the content of its ``scores.json``.

    Raises:
        ConfigError: The data are missing or of another form, or a name is unknown.
        ModelError: The model is unknown.
    """
    for system in options.systems:
        check_system(system)
    parts = Parts(
        EvaluatedModel(options.model, options.num_inference_steps), find_extractors(options.extractors, options.model)
    )
    if suite == ALL_SMALL:
        return _run_all_small(options, parts)
    if options.data is None:
        raise ConfigError(f"suite {suite} needs a corpus; expected --data DIR. docs/evaluation.md says which files.")
    protocol = PROTOCOLS[suite]
    for metric in map(get_metric, options.metrics):  # a metric of the suite itself is left out with a note
        try:
            check_metric(metric, protocol, parts.extractors)
        except ConfigError as error:
            raise ConfigError(f"metric {metric.name}: {error}") from None
    return _run_suite(protocol, options, parts, options.data, options.out, options.limit or DEFAULT_LIMIT)


def _run_all_small(options: StandardOptions, parts: Parts) -> dict[str, Any]:
    limit = options.limit or SMALL_LIMIT
    data = options.data or _export(options.out / SMALL_DATA_DIR, limit, options.seed)
    contents = [
        _run_suite(protocol, options, parts, data, options.out / name, limit, protocol.systems)
        for name, protocol in PROTOCOLS.items()
    ]
    rows = [{"suite": content["suite"], **row} for content in contents for row in content["rows"]]
    content = {"model": options.model, "suite": ALL_SMALL, "rows": rows, "suites": contents}
    write_file(options.out / SCORES_FILE, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    write_file(options.out / REPORT_FILE, all_to_markdown(content))
    return content


def _export(folder: Path, count: int, seed: int) -> Path:
    """Write the export, unless a complete one of the same size is there."""
    from nextgpt.miniworld.export import export_miniworld

    done = folder / f".complete-{count}-{seed}"
    if not done.is_file():
        export_miniworld(folder, count=count, seed=seed)
        write_file(done, "")
    return folder


def _run_suite(
    protocol: Protocol,
    options: StandardOptions,
    parts: Parts,
    data: Path,
    out: Path,
    limit: int,
    systems: Sequence[str] = (),
) -> dict[str, Any]:
    protocol = select_metrics(protocol, options.metrics)
    with lock_run(out):
        run = _create_run(protocol, options, data, out, limit)
        names = list(dict.fromkeys([*(systems or ("direct",)), *options.systems, TRUTH, SHUFFLED]))
        context = SystemContext(parts.model, run.data, run.items)
        if options.extractors and not all(map(run.is_complete, names)):
            parts.extractors.load()  # wrong weights are refused before the work
        answer_items(run, names, lambda name: create_system(name, context), options.on_progress)
        scores = score_run(run, protocol, names, parts.extractors)
        content = scores_to_dict(run.manifest, protocol, scores, run.items)
        run.write_item_scores(item_scores(scores))
        run.write_scores(content, scores_to_markdown(content))
    return content


def _create_run(protocol: Protocol, options: StandardOptions, data: Path, out: Path, limit: int) -> RunFolder:
    data = data.resolve()
    if not data.is_dir():
        raise ConfigError(f"{data} is no folder; expected the corpus. Check --data.")
    candidates = protocol.source(data, protocol.name, options.seed)
    items = sample_items(candidates, limit=limit, seed=options.seed)
    manifest = RunManifest(
        suite=protocol.name,
        protocol=protocol.about,
        model=options.model,
        seed=options.seed,
        limit=limit,
        batch_size=BATCH_SIZE,
        data=str(data),
        data_fingerprint=data_fingerprint(items, data),
        model_fingerprint=model_fingerprint(options.model),
        num_inference_steps=options.num_inference_steps,
        left_out={reason: count for reason, count in candidates.left_out.items() if count},
    )
    return create_run(out, manifest, items)
