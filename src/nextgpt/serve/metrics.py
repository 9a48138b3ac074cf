"""Prometheus metrics of one server: requests, stages, and how much waits."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Metrics:
    """Counts in a registry of its own, so that two servers in one process do not mix.

    Args:
        waiting: Tells how many jobs wait or run.
    """

    def __init__(self, waiting: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "nextgpt_requests", "Requests by route and status.", ["route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "nextgpt_request_seconds",
            "Time of a request.",
            ["route"],
            buckets=SECONDS,
            registry=self._registry,
        )
        self._stages = Histogram(
            "nextgpt_stage_seconds",
            "Time of a stage: encoding, llm_step, image_step, audio_step, video_step, answer.",
            ["stage"],
            buckets=SECONDS,
            registry=self._registry,
        )
        self._first_token = Histogram(
            "nextgpt_time_to_first_token_seconds",
            "From a job's arrival to its first words.",
            buckets=SECONDS,
            registry=self._registry,
        )
        Gauge("nextgpt_queue_depth", "Jobs that wait or run.", registry=self._registry).set_function(waiting)
        ProcessCollector(registry=self._registry)  # memory, processor time, open files

    def stage(self, name: str, seconds: float) -> None:
        """Note the time of one stage; any thread may call this."""
        if name == "first_token":
            self._first_token.observe(seconds)
        else:
            self._stages.labels(name).observe(seconds)

    def request(self, route: str, status: int, seconds: float) -> None:
        """Note one request."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry)
