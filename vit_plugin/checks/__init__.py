"""Checks of settings, data, labels, classes and weights before the first iteration.

Each check is a function from what it looks at to a list of `Finding`. `run.py` calls those of a
whole run, for the hook and the commands; data sets and transforms call those of their own files.
"""
