"""Local pages on which people judge media: their server and their append-only files.

Independent of evaluations and corpora; :mod:`nextgpt.evaluate.rating` and :mod:`nextgpt.data.review` build on it.
"""
