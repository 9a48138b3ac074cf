"""Suites of standard tasks on corpora: items, typed metrics, and run folders that a later call continues.

Start with ``protocols`` (table of the suites), then ``run_suite``, which runs one.
"""
