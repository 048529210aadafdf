"""Reading, recognising and converting weights; needs torch and mmengine only.

::

    file -> read_state_dict -> to_openmmlab -> match -> load_state_dict
            data, no code      names, orders   shapes   nothing is copied before all is proved
"""
from .errors import CheckpointError
from .finite import check_finite, names_of
from .layouts import from_openmmlab, to_openmmlab
from .loading import adapt_classifier, adapt_state_dict, load_pretrained
from .reading import read_checkpoint, read_state_dict, take_weights
from .writing import write_checkpoint

__all__ = [
    'CheckpointError', 'adapt_classifier', 'adapt_state_dict', 'check_finite', 'from_openmmlab',
    'load_pretrained', 'names_of', 'read_checkpoint', 'read_state_dict', 'take_weights',
    'to_openmmlab', 'write_checkpoint',
]
