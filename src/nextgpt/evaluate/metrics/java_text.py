"""METEOR 1.5, SPICE and SPIDEr through the jars of pycocoevalcap; they need Java."""

from __future__ import annotations

import atexit
import json
import math
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from nextgpt.errors import ConfigError
from nextgpt.evaluate.metrics.caption_tokens import INSTALL, TokenizedCaptions, find_jar, run_java, tokenize_captions
from nextgpt.evaluate.metrics.result import MetricResult
from nextgpt.evaluate.metrics.statistics import mean_result
from nextgpt.evaluate.metrics.text import cider_d

METEOR_JAR = "meteor/meteor-1.5.jar"
SPICE_JAR = "spice/spice-1.0.jar"
SPICE_MODELS = ("spice/lib/stanford-corenlp-3.6.0.jar", "spice/lib/stanford-corenlp-3.6.0-models.jar")


def meteor(texts: Sequence[str], references: Sequence[Sequence[str]]) -> MetricResult:
    """Return METEOR 1.5 of the corpus, whose statistics are summed over the items, as coco-caption does.

    The interval is that of the mean of the items' scores, moved to the value of the corpus.

    Raises:
        ConfigError: Java or pycocoevalcap is missing.
    """
    jar = require_meteor()
    captions = tokenize_captions(texts, references)
    n = len(captions.texts)
    parameters = {"version": "1.5", "language": "en", "tokenizer": captions.tokenizer}
    if not n:
        return MetricResult("meteor", math.nan, None, None, 0, {}, parameters, ())
    pairs = zip(captions.texts, captions.references, strict=True)
    process = _meteor_process(jar)
    try:
        statistics = [process.statistics(" ".join(text), map(" ".join, group)) for text, group in pairs]
        values, total = process.scores(statistics)
    except BaseException:
        _meteor_process.cache_clear()  # its pipes may hold the rest of an answer
        process.close()
        raise
    mean = mean_result("meteor", values, parameters=parameters)
    shift = total - mean.value
    low, high = (end if end is None else end + shift for end in (mean.low, mean.high))
    return replace(mean, value=total, low=low, high=high)


def spice(texts: Sequence[str], references: Sequence[Sequence[str]]) -> MetricResult:
    """Return the mean SPICE: F-score of scene-graph tuples. Texts without tuples count as 0.

    As in coco-caption, the scorer gets tokenized captions.

    Raises:
        ConfigError: Java, pycocoevalcap or the models of Stanford CoreNLP 3.6.0 are missing.
    """
    jar = require_spice()
    captions = tokenize_captions(texts, references)
    parameters = {"corenlp": "3.6.0", "tokenizer": captions.tokenizer}
    return mean_result("spice", _spice_values(jar, captions), parameters=parameters)


def require_meteor() -> Path:
    """Return the jar of METEOR. Raises :class:`ConfigError` if Java or pycocoevalcap is missing."""
    return _require_jar(METEOR_JAR, "METEOR")


def require_spice() -> Path:
    """Return the jar of SPICE. Raises :class:`ConfigError` if Java, pycocoevalcap or CoreNLP's files are missing."""
    jar = _require_jar(SPICE_JAR, "SPICE")
    missing = [jar.parents[1] / name for name in SPICE_MODELS if not (jar.parents[1] / name).exists()]
    if missing:
        names = " and ".join(path.name for path in missing)
        raise ConfigError(
            f"SPICE needs {names} in {missing[0].parent}; pycocoevalcap does not contain them. "
            "Copy them from stanford-corenlp-full-2015-12-09.zip (nlp.stanford.edu/software), or leave SPICE out."
        )
    return jar


def spider(texts: Sequence[str], references: Sequence[Sequence[str]]) -> MetricResult:
    """Return SPIDEr: the mean of CIDEr-D and SPICE. Raises as :func:`spice`."""
    spice_values = spice(texts, references).item_values or ()
    cider = cider_d(texts, references)
    values = (np.asarray(cider.item_values) + np.asarray(spice_values)) / 2
    return mean_result("spider", values, parameters=cider.parameters)


def _require_jar(name: str, metric: str) -> Path:
    jar = find_jar(name)
    if jar is None:
        raise ConfigError(f"{metric} needs Java and the package pycocoevalcap; one of them is missing. {INSTALL}")
    return jar


@lru_cache(maxsize=1)
def _meteor_process(jar: Path) -> _MeteorProcess:
    """Start METEOR once per program: reading its table of paraphrases takes far longer than the scores."""
    process = _MeteorProcess(jar)
    atexit.register(process.close)
    return process


class _MeteorProcess:
    """METEOR as a child process that answers line by line."""

    def __init__(self, jar: Path) -> None:
        command = ["java", "-Xmx2G", "-XX:+UseSerialGC", "-jar", jar.name, "-", "-", "-stdio", "-l", "en", "-norm"]
        self._process = subprocess.Popen(
            command, cwd=jar.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def statistics(self, text: str, references: Iterable[str]) -> str:
        """Return the sufficient statistics of one item as a line."""
        fields = (field.replace("|||", "") for field in (*references, text))
        self._write(" ||| ".join(("SCORE", *fields)))
        return self._read()

    def scores(self, statistics: Sequence[str]) -> tuple[list[float], float]:
        """Return the score of each item, and the score of their summed statistics."""
        self._write(" ||| ".join(("EVAL", *statistics)))
        return [float(self._read()) for _ in statistics], float(self._read())

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line:
            raise ConfigError(f"METEOR stopped with status {self._process.wait()}; it needs 2 GB of memory for Java.")
        return line


def _spice_values(jar: Path, captions: TokenizedCaptions) -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "captions.json"), Path(folder, "scores.json")
        pairs = enumerate(zip(captions.texts, captions.references, strict=True))
        items = [
            {"image_id": index, "test": " ".join(text), "refs": [" ".join(tokens) for tokens in group]}
            for index, (text, group) in pairs
        ]
        if not items:
            return []
        source.write_text(json.dumps(items))
        arguments = ["-Xmx8G", "-jar", jar.name, str(source), "-out", str(target), "-subset", "-silent"]
        run_java(arguments, "SPICE", folder=jar.parent)
        values = {entry["image_id"]: entry["scores"]["All"]["f"] for entry in json.loads(target.read_text())}
    scores = [float(values[index] or 0) for index in range(len(items))]
    return [score if math.isfinite(score) else 0.0 for score in scores]  # without tuples: null or NaN
