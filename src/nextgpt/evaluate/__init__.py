"""Evaluation: suites of metrics, each the fraction of correct cases with its confidence interval.

A suite samples its own cases and defines their judgement. Nothing here trains, and the model does not depend on it.
"""
