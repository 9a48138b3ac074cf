"""The list of what a training could not read: written as it is met, each item once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from nextgpt.data.record import InvalidRecord
from nextgpt.train.corpora import Batch


class BrokenList:
    """A file of JSON lines; what stands in it from an earlier start is not listed again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else []
        whole = [
            line for line in lines if line.endswith("\n")
        ]  # a run that was killed may have left half a line
        self._known = {InvalidRecord(**json.loads(line)) for line in whole}
        if len(whole) < len(lines):
            path.write_text("".join(whole), encoding="utf-8")

    def __len__(self) -> int:
        return len(self._known)

    def add(self, broken: Iterable[InvalidRecord]) -> None:
        """List what is not listed yet."""
        fresh = [item for item in dict.fromkeys(broken) if item not in self._known]
        if not fresh:
            return
        self._known.update(fresh)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write("".join(json.dumps(asdict(item)) + "\n" for item in fresh))

    def heard(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Pass batches on, listing what they could not read."""
        for batch in batches:
            self.add(batch.broken)
            yield batch
