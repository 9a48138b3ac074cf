"""Prometheus metrics of one server: requests, stage times and queue depth."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Metrics:
    """Metrics in a registry per server, so that two servers in one process stay apart.

    Args:
        num_unfinished: Returns the number of queued and running requests.
    """

    def __init__(self, num_unfinished: Callable[[], int]) -> None:
        self._registry = registry = CollectorRegistry()

        def histogram(name: str, text: str, labels: tuple[str, ...] = ()) -> Histogram:
            return Histogram(name, text, labels, buckets=SECONDS, registry=registry)

        self._requests = Counter(
            "nextgpt_requests", "Requests by route and status.", ["route", "status"], registry=registry
        )
        self._request_s = histogram("nextgpt_request_seconds", "Duration of a request.", ("route",))
        self._stage_s = histogram(
            "nextgpt_stage_seconds",
            "Duration of a stage: encoding, llm_step, image_step, audio_step, video_step, answer.",
            ("stage",),
        )
        self._first_token_s = histogram(
            "nextgpt_time_to_first_token_seconds", "Time from the arrival of a request to its first token."
        )
        depth = Gauge("nextgpt_queue_depth", "Queued and running requests.", registry=registry)
        depth.set_function(num_unfinished)
        ProcessCollector(registry=registry)  # memory, processor time, open files

    def record_stage(self, name: str, seconds: float) -> None:
        """Record the time of one stage. Thread-safe."""
        if name == "first_token":
            self._first_token_s.observe(seconds)
        else:
            self._stage_s.labels(name).observe(seconds)

    def record_request(self, route: str, status: int, seconds: float) -> None:
        """Record one request."""
        self._requests.labels(route, str(status)).inc()
        self._request_s.labels(route).observe(seconds)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)
