"""The arguments of mmpretrain's, mmdet's and mmseg's own Swins and ViTs.

A config of one of these toolkits may change the ``type`` of its backbone to one of this package and
nothing else. Each module here has a function for each class of its toolkit, with that class's
arguments and defaults, that returns the arguments with the same meaning here::

    SwinTransformer(**mmdet.swin_transformer(embed_dims=128, depths=(2, 2, 18, 2)))
"""
from . import mmdet, mmpretrain, mmseg
from .forms import register

__all__ = ['mmdet', 'mmpretrain', 'mmseg', 'register']
