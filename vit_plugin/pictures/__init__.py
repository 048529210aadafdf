"""The pictures of ``vit-plugin visualize``, one kind per file.

::

    config, checkpoint -> load_subject -> Subject ┐
    image -> Subject.view -> View ────────────────┴-> attention, windows, gradcam, ... -> Figure
"""
