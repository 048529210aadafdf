"""DeiT and Swin Transformer, written once, for mmpretrain, mmdet and mmseg."""

__version__ = '0.1.0'


def __getattr__(name: str) -> object:
    if name == 'backend':  # on demand: the doctor also runs where torch is missing
        from .ops import backend
        return backend
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
