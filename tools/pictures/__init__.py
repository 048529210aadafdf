"""The pictures of tools/visualize.py, one kind per file.

::

    config, checkpoint -> load_subject -> Subject ┐
    image -> Subject.view -> View ────────────────┴-> attention, windows, gradcam, ... -> Figure
"""
