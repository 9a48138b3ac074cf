"""Benchmark of speed and memory against a plain baseline in the same run.

The baseline is the straightforward use of the stock libraries: all components loaded at once, ``generate``
with default settings, 50 denoising steps with text encoder and guidance as two calls, one medium at a time,
nothing cached between turns. Ratios depend less on the machine than seconds.
"""
