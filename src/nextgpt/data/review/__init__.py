"""Review of built dialogues by people, before they are exported.

::

    WORK/filter.jsonl -> assignment.py -> server.py (page) or label_studio.py -> WORK/decisions.jsonl

``nextgpt data build`` applies the decisions in its review stage (:mod:`nextgpt.data.build.review`).
"""
