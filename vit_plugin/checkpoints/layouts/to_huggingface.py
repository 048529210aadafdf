"""To Hugging Face's DeiT, ViT and Swin, under the names that `save_pretrained` of 4 and 5 writes.

`from_pretrained` of both reads them beside a ``config.json``.
"""
from torch import Tensor

from vit_plugin.layers.window_attention import relative_position_index

from ..errors import CheckpointError
from ..resizing import find_window
from .huggingface import HEADS, SWIN_PAIRS, VIT_PAIRS
from .merging import to_channel_last
from .openmmlab import last_index
from .renaming import Pairs, rename, swapped
from .swin_v2 import HUGGING_FACE_PAIRS, MERGINGS

PARTS = ('embeddings.', 'encoder.', 'layernorm.')
TABLE, INDEX = 'relative_position_bias_table', 'relative_position_index'


def to_vit(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """To ViTForImageClassification."""
    return place(weights, VIT_PAIRS, [('head.layers.head.', 'classifier.')], 'vit.')


def to_distilled(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """To DeiTForImageClassificationWithTeacher."""
    heads = [('head.layers.head.', 'cls_classifier.'),
             ('head.layers.head_dist.', 'distillation_classifier.')]
    return place(weights, VIT_PAIRS, heads, 'deit.')


def to_swin(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """To SwinForImageClassification."""
    with_indices = dict(weights)
    for key, table in weights.items():  # version 4 takes none that is absent from its window
        if key.endswith(TABLE) and key.replace(TABLE, INDEX) not in weights:
            window = find_window(table, None, (1, 1))
            with_indices[key.replace(TABLE, INDEX)] = relative_position_index(window)
    return place_swin(with_indices, 'swin.')


def to_swin_v2(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """To Swinv2ForImageClassification; what follows from the window has no place there."""
    kept = {key: value for key, value in weights.items()
            if not key.endswith((INDEX, 'relative_coords_table'))}
    pairs = [('swinv2.' + new, 'swinv2.' + old) for old, new in HUGGING_FACE_PAIRS]
    return rename(place_swin(rename(kept, swapped(MERGINGS)), 'swinv2.'), pairs)


def place_swin(weights: dict[str, Tensor], model: str) -> dict[str, Tensor]:
    """`place` a Swin; masks and the norms of the earlier stages have no place there."""
    last = last_index(weights, 'stages.')
    dropped = tuple(f'norm{i}.' for i in range(last))
    kept = {key: value for key, value in weights.items()
            if not key.startswith(dropped) and not key.endswith('attn_mask')}
    outside = [('head.fc.', 'classifier.'), (f'norm{last}.', 'layernorm.')]
    return place(to_channel_last(kept), SWIN_PAIRS, outside, model)


def place(weights: dict[str, Tensor], pairs: Pairs, outside: Pairs,
          model: str) -> dict[str, Tensor]:
    """Rename ``outside`` and the inverse of ``pairs``, with ``model`` in front of all but heads.

    Raises:
        UserError: the model of Hugging Face has no such weights.
    """
    back = [pair for pair in swapped(pairs) if pair[0]]
    back.sort(key=lambda pair: len(pair[0]), reverse=True)  # of those that fit, the most special
    placed = {}
    for key, value in rename(rename(split_qkv(weights), outside), back).items():
        if not key.startswith((*PARTS, *HEADS)) or 'layer_scale' in key:
            raise CheckpointError(f"Hugging Face's model has no place for {key}")
        start = '' if key.startswith(HEADS) else model
        placed[start + key] = value
    return placed


def split_qkv(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The linear layer ``qkv`` as three: queries, keys and values."""
    separate = {}
    for key, value in weights.items():
        if '.qkv.' in key:
            for name, part in zip(('query', 'key', 'value'), value.chunk(3)):
                separate[key.replace('.qkv.', f'.{name}.')] = part
        else:
            separate[key] = value
    return separate
