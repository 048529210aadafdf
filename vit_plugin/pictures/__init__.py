"""The pictures of ``vit-plugin visualize``, one kind per file; `kinds` lists them.

::

    config, checkpoint -> load_subject -> Subject ┐
    images -> Subject.views -> Views ─────────────┴-> attention, windows, gradcam, ... -> Figure
"""
