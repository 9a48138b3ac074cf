"""The work of a suite, in units that are done side by side: each a run of cases for one player, answered and judged.

Units do not depend on how many workers there are, so results do not either.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nextgpt.config import read_config
from nextgpt.evaluate.case import Attempt, Case
from nextgpt.evaluate.judging import judge
from nextgpt.evaluate.players import Direct, Player, Truth, in_batches
from nextgpt.evaluate.suite import Tell
from nextgpt.model.nextgpt import NextGPT

DIRECT, CASCADE, TRUE_CAPTION, IN_WORDS, TRUTH = "direct", "cascade", "true_caption", "in_words", "truth"
Pair = tuple[str, str]
"""A player and a source."""
Played = dict[Pair, list[Attempt]]
"""Judged attempts."""


@dataclass(frozen=True)
class Unit:
    """What one worker does at a time."""

    player: str
    source: str
    cases: tuple[Case, ...]

    @property
    def turns(self) -> int:
        """How many turns are asked in all."""
        return sum(len(case.asked) for case in self.cases)


class Worker:
    """Answers and judges; loads what its units need when they first need it.

    Args:
        home: The model's folder.
        steps: Of denoising; ``None`` means the model's own settings.
    """

    def __init__(self, home: Path, steps: int | None = None) -> None:
        self._home = home
        self._steps = steps
        self._players: dict[str, Player] = {}

    def do(self, unit: Unit) -> list[Attempt]:
        """Have the unit's player answer its cases, and judge the answers."""
        if unit.player not in self._players:
            self._players[unit.player] = self._create(unit.player)
        return judge(self._players[unit.player].play(unit.cases))

    def _create(self, name: str) -> Player:
        if name == TRUTH:
            return Truth()
        if name == DIRECT:
            return Direct(self._model, self._steps)
        from nextgpt.evaluate.cascade import Captioned, CaptionWriter, text_conditioners, true_words
        from nextgpt.model.parts import find_folder

        if name == IN_WORDS:
            from nextgpt.evaluate.in_words import InWords

            return InWords(CaptionWriter(find_folder(read_config(self._home).llm.source, self._home)))
        config = self._model.config
        write = CaptionWriter(find_folder(config.llm.source, self._home)) if name == CASCADE else true_words
        return Captioned(write, self._model, text_conditioners(config, self._home), self._steps)

    @cached_property
    def _model(self) -> NextGPT:
        return NextGPT.from_pretrained(self._home)


def play(
    pairs: Iterable[Pair],
    cases: Mapping[str, Sequence[Case]],
    home: Path,
    *,
    workers: int,
    tell: Tell,
    steps: int | None = None,
) -> Played:
    """Have each player of ``pairs`` answer the cases of its source."""
    units = [
        Unit(player, source, tuple(batch)) for player, source in pairs for batch in in_batches(cases[source])
    ]
    found = _one_by_one(units, home, steps) if workers == 1 else _side_by_side(units, home, steps, workers)
    total = _turns(units)
    attempts: dict[int, list[Attempt]] = {}
    for index, judged in found:
        attempts[index] = judged
        pair = units[index].player, units[index].source
        tell(f"{pair[1]} ({pair[0]})", _turns([units[done] for done in attempts])[pair], total[pair])
    played: Played = {}
    for index, unit in enumerate(units):
        played.setdefault((unit.player, unit.source), []).extend(attempts[index])
    return played


def _turns(units: Iterable[Unit]) -> Counter[Pair]:
    """How many turns are asked of each player by each source."""
    turns: Counter[Pair] = Counter()
    for unit in units:
        turns[unit.player, unit.source] += unit.turns
    return turns


def _one_by_one(units: Sequence[Unit], home: Path, steps: int | None) -> Iterator[tuple[int, list[Attempt]]]:
    worker = Worker(home, steps)
    for index, unit in enumerate(units):
        yield index, worker.do(unit)


def _side_by_side(
    units: Sequence[Unit], home: Path, steps: int | None, workers: int
) -> Iterator[tuple[int, list[Attempt]]]:
    """Long units first, so that no worker is left alone with one at the end."""
    threads = max(1, (os.cpu_count() or 1) // workers)
    with (
        _environment(OMP_NUM_THREADS=str(threads)),
        ProcessPoolExecutor(
            workers, multiprocessing.get_context("spawn"), initializer=_prepare, initargs=(home, steps)
        ) as pool,
    ):
        order = sorted(range(len(units)), key=lambda index: -units[index].turns)
        futures: dict[Future[list[Attempt]], int] = {pool.submit(_do, units[index]): index for index in order}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            pool.shutdown(cancel_futures=True)


_worker: Worker | None = None
"""In a process of the pool: its worker."""


def _prepare(home: Path, steps: int | None) -> None:
    global _worker
    _worker = Worker(home, steps)


def _do(unit: Unit) -> list[Attempt]:
    assert _worker is not None, "the pool prepares its processes"
    return _worker.do(unit)


@contextmanager
def _environment(**settings: str) -> Iterator[None]:
    """Settings that processes which are started meanwhile inherit: libraries read them when they are imported."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
