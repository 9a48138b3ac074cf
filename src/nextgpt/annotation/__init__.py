"""Local pages on which people judge media: their server and their append-only files.

Knows neither evaluations nor corpora; :mod:`nextgpt.evaluate.rating` and :mod:`nextgpt.data.review` build on it.
"""
