"""Metrics: functions of arrays and strings, one module per family, with a table of all of them.

They know no model, no suite and no file. :mod:`nextgpt.evaluate.extractors` turns media into the features they need.
"""

from nextgpt.evaluate.metrics.registry import INPUTS, METRICS, Metric, compute_metric, get_metric
from nextgpt.evaluate.metrics.result import MetricResult

__all__ = ["INPUTS", "METRICS", "Metric", "MetricResult", "compute_metric", "get_metric"]
