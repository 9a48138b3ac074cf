from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nextgpt.annotation.journal import Journal, read_rows
from nextgpt.errors import ConfigError


def test_rows_are_appended_and_read_again(tmp_path: Path):
    with Journal(tmp_path / "new" / "rows.jsonl") as journal:
        journal.append({"a": 1})
        journal.append({"b": "ü\n"})
    with Journal(tmp_path / "new" / "rows.jsonl") as journal:
        assert journal.rows == [{"a": 1}, {"b": "ü\n"}]
        journal.append({"c": 3})
    assert read_rows(tmp_path / "new" / "rows.jsonl")[-1] == {"c": 3}


def test_a_cut_last_line_is_dropped_and_a_complete_one_is_kept(tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n{"b": 2}')
    with Journal(path) as journal:
        journal.append({"c": 3})
    path.write_text(path.read_text() + '{"d": 4, "e": "cu')
    assert [list(row) for row in read_rows(path)] == [["a"], ["b"], ["c"]]
    with Journal(path) as journal:
        journal.append({"f": 6})
    assert [list(row) for row in read_rows(path)] == [["a"], ["b"], ["c"], ["f"]]


def test_a_damaged_line_in_the_middle_is_named_and_nothing_is_changed(tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n[2]\n{"c": 3}\n{"cut')
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="line 2 is not a JSON object"):
        Journal(path)
    assert path.read_bytes() == before


def test_two_processes_cannot_write_one_file(tmp_path: Path):
    with Journal(tmp_path / "rows.jsonl"), pytest.raises(ConfigError, match="in use by another process"):
        Journal(tmp_path / "rows.jsonl")
    Journal(tmp_path / "rows.jsonl").close()


WRITER = """
import sys
from pathlib import Path
from nextgpt.annotation.journal import Journal
journal = Journal(Path(sys.argv[1]))
for number in range(10**6):
    journal.append({"number": number, "text": "x" * 5000})
    print(number, flush=True)
"""


def test_no_confirmed_row_is_lost_when_the_process_is_killed(tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    confirmed = [int(writer.stdout.readline()) for _ in range(5)]
    time.sleep(0.05)
    os.kill(writer.pid, signal.SIGKILL)
    confirmed += [int(line) for line in writer.stdout.read().splitlines()]
    writer.wait()
    with Journal(path) as journal:
        numbers = [row["number"] for row in journal.rows]
        assert numbers[: len(confirmed)] == confirmed == list(range(len(confirmed)))
        journal.append({"number": -1})
    assert all(isinstance(json.loads(line), dict) for line in path.read_text().splitlines())
