"""Requests, answers and money in SQLite.

A request is committed with its reserved price before it is sent, and its answer is committed before it is used. So
after ``kill -9`` no finished request is repeated. A request that was in flight at the kill is sent again; its first
reservation stays spent, because the endpoint may have charged it.
"""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

from nextgpt.errors import ConfigError

REQUESTS_FILE = "requests.sqlite"
"""Name in the work directory."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS requests (
    key TEXT PRIMARY KEY, purpose TEXT NOT NULL, body TEXT NOT NULL, state TEXT NOT NULL, reserved REAL NOT NULL,
    cost REAL NOT NULL DEFAULT 0, input_tokens INTEGER NOT NULL DEFAULT 0, output_tokens INTEGER NOT NULL DEFAULT 0,
    answer TEXT, sent_at REAL, answered_at REAL
) STRICT;
CREATE TABLE IF NOT EXISTS lost (key TEXT NOT NULL, cost REAL NOT NULL, reason TEXT NOT NULL, at REAL NOT NULL) STRICT;
"""
ROUNDING = 1e-9


class BudgetReached(Exception):
    """The next request might exceed the budget."""


@dataclass(frozen=True)
class Answer:
    """Text of an answer and what it cost."""

    text: str
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0


@dataclass(frozen=True)
class Ledger:
    """Sums over all requests of a work directory."""

    answered: int
    input_tokens: int
    output_tokens: int
    cost: float
    """Price of answered requests."""
    lost: int
    """Attempts without an answer that may have been charged."""
    lost_cost: float
    """Their reserved price, which counts as spent."""

    @property
    def spent(self) -> float:
        """Upper bound of the money that was spent."""
        return self.cost + self.lost_cost


class RequestStore:
    """Requests by key. One process at a time; all calls come from one thread.

    Args:
        budget: Maximum price of everything in the store; ``None`` is no limit.
    """

    def __init__(self, path: Path, *, budget: float | None = None) -> None:
        self._budget = budget
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._database = sqlite3.connect(path, isolation_level=None)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.executescript(_SCHEMA)
        except sqlite3.DatabaseError as error:
            raise ConfigError(
                f"{path} is no store of requests ({error}); expected SQLite that nextgpt data build wrote. Move it "
                "away; its requests will be sent again."
            ) from None
        for (key,) in self._database.execute("SELECT key FROM requests WHERE state = 'sent'").fetchall():
            self.lose(key, "the build ended before the answer")

    def find(self, key: str) -> Answer | None:
        """Return the stored answer of a request."""
        row = self._database.execute(
            "SELECT answer, input_tokens, output_tokens, cost FROM requests WHERE state = 'answered' AND key = ?",
            (key,),
        ).fetchone()
        return None if row is None else Answer(*row)

    def reserve(self, key: str, *, purpose: str, body: str, price: float) -> None:
        """Record a request before it is sent. Raises :class:`BudgetReached` if it might exceed the budget."""
        if self._budget is not None and self.committed + price > self._budget + ROUNDING:
            raise BudgetReached(f"{self.committed:.4f} of {self._budget:g} is spent or reserved")
        self._database.execute(
            "INSERT INTO requests (key, purpose, body, state, reserved, sent_at) VALUES (?, ?, ?, 'sent', ?, ?)",
            (key, purpose, body, price, time.time()),
        )

    def answer(self, key: str, answer: Answer) -> None:
        """Record an answer; it replaces the reservation."""
        self._database.execute(
            "UPDATE requests SET state = 'answered', answer = ?, input_tokens = ?, output_tokens = ?, cost = ?, "
            "answered_at = ? WHERE key = ?",
            (answer.text, answer.input_tokens, answer.output_tokens, answer.cost, time.time(), key),
        )

    def release(self, key: str) -> None:
        """Forget a request that the endpoint refused, as it costs nothing."""
        self._database.execute("DELETE FROM requests WHERE key = ? AND state = 'sent'", (key,))

    def lose(self, key: str, reason: str) -> None:
        """Record that no answer arrived; the reserved price stays spent."""
        self._database.execute("BEGIN")
        self._database.execute(
            "INSERT INTO lost SELECT key, reserved, ?, ? FROM requests WHERE key = ? AND state = 'sent'",
            (reason, time.time(), key),
        )
        self.release(key)
        self._database.execute("COMMIT")

    @property
    def committed(self) -> float:
        """Price of answers, lost attempts and requests in flight."""
        return self._number(
            "SELECT (SELECT TOTAL(CASE state WHEN 'sent' THEN reserved ELSE cost END) FROM requests) + "
            "(SELECT TOTAL(cost) FROM lost)"
        )

    def ledger(self) -> Ledger:
        """Return the sums."""
        answered, inputs, outputs, cost = self._database.execute(
            "SELECT COUNT(*), IFNULL(SUM(input_tokens), 0), IFNULL(SUM(output_tokens), 0), TOTAL(cost) FROM requests "
            "WHERE state = 'answered'"
        ).fetchone()
        lost, lost_cost = self._database.execute("SELECT COUNT(*), TOTAL(cost) FROM lost").fetchone()
        return Ledger(answered, inputs, outputs, cost, lost, lost_cost)

    def _number(self, query: str) -> float:
        return self._database.execute(query).fetchone()[0]

    def close(self) -> None:
        """Close the file."""
        self._database.close()
