"""Ratings by people: blind pages for the answers of evaluation runs, and what follows from the ratings.

::

    runs -> material.py -> order.py -> server.py -> ratings.jsonl -> report.py
                                       label_studio.py
"""
