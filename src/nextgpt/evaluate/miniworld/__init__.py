"""Suites of the small world: cases are sampled dialogues, and the judge decides if the answers are correct.

Start with ``suite`` (interface and table of the suites), then ``held_out``, the suite ``miniworld``.
"""
