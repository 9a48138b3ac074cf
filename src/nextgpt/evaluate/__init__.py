"""How good a model is: suites of rows, each a share of cases that came out right, with its uncertainty.

A suite is asked for by name and knows its own cases and how they are judged; what it gives is a list of scores and some
samples to look at. Nothing here trains, and nothing of the model knows that it is measured.
"""
