"""Outputs of queries, as of DETR's decoder: no query of one model is the partner of another's."""
import re

from torch import nn

from vit_plugin.errors import UserError

HEADS = ('bbox_head', 'panoptic_head', 'decode_head')
# What of MaskFormer's and Mask2Former's heads is of queries; '' is all of it.
PARTS = ('', 'transformer_decoder', 'cls_embed', 'mask_embed')


def require_no_queries(loss: str, model: nn.Module, path: str) -> None:
    """Refuse to compare outputs of queries.

    Raises:
        UserError: the module is a decoder of queries, or a head that reads one.
    """
    if is_of_queries(model, path):
        raise UserError(
            f"{loss} cannot compare '{path}' of {type(model).__name__}: these are outputs of "
            "queries, and no query of the student is the partner of one of the teacher's. Compare "
            "maps, e.g. dict(type='vit_plugin.PKD') of 'backbone', 'neck' or the encoder")


def is_of_queries(model: nn.Module, path: str) -> bool:
    """True for modules of mmdet's DETR-like detectors, MaskFormer and Mask2Former behind queries.

    Of two-stage detectors, the branch after those of the decoder's layers reads the encoder.
    """
    child, _, part = path.partition('.')
    if hasattr(model, 'pre_transformer'):
        layers = model.get_submodule('decoder').num_layers
        of_encoder = re.search(rf'_branches\.{layers}\b', path)
        return child in ('decoder', 'bbox_head') and not of_encoder
    has_decoder = hasattr(getattr(model, child, None), 'transformer_decoder')
    return has_decoder and part.split('.')[0] in PARTS
