"""Trained models as files that run without torch and OpenMMLab.

::

    config, checkpoint -> model -> deployed model -> program (torch.export) -> ONNX, OpenVINO, .pt2
                                   pixels in,        any batch, height,        proved in its
                                   answers out       and width                 runtime, then kept
"""
from .deploy import Settings, export_model

__all__ = ['Settings', 'export_model']
