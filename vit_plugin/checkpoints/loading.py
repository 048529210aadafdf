"""The ways into a backbone: ``init_cfg``, and ``load_state_dict`` of it or of a model around it."""
import logging
from collections.abc import MutableMapping
from os import PathLike

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from .errors import CheckpointError
from .finite import check_finite, names_of
from .layouts import locate, to_openmmlab
from .matching import Match, match
from .reading import read_state_dict, weights_of


def load_pretrained(backbone: nn.Module, checkpoint: str | PathLike[str], prefix: str | None = None,
                    source_grid: tuple[int, int] | None = None, threshold: float = 0.9,
                    classifier_norm: bool = True, map_location: object = None) -> None:
    """Load a checkpoint of any known layout into a backbone, or raise and change nothing.

    These are the arguments of ``init_cfg=dict(type='Pretrained', ...)``.

    Args:
        backbone: One of the plugin's.
        checkpoint: A file or address, see `read_state_dict`.
        prefix: Where the backbone starts in the file, needed if it holds several.
        source_grid: (height, width) of the file's position embedding in patches, needed if it is
            neither square nor as large as the backbone's.
        threshold: Share of the backbone's parameters that the file must have.
        classifier_norm: True to take the norm of a classifier's features for that of the last
            output. mmdet's and mmseg's Swins leave it out.
        map_location: mmengine's; without effect, files are read to the CPU.

    Raises:
        FileNotFoundError: there is no such file.
        UserError: the file cannot be read or does not fit.
    """
    weights = read_state_dict(checkpoint)
    try:
        if not classifier_norm:
            norm = locate(weights, prefix)[1] + 'norm.'
            weights = {key: value for key, value in weights.items() if not key.startswith(norm)}
        weights, layout = to_openmmlab(weights, prefix)
        matched = match(backbone, weights, layout, threshold, source_grid)
    except CheckpointError as error:
        raise CheckpointError(f"cannot load '{checkpoint}': {error}") from error
    backbone.load_state_dict(complete(backbone, matched))
    log_match(backbone, matched, f"'{checkpoint}'")


def adapt_state_dict(backbone: nn.Module, state_dict: MutableMapping[str, Tensor],
                     prefix: str) -> None:
    """Convert the backbone's part of a state dict in place, before torch copies it.

    Keys and shapes that are the backbone's own are left alone.

    Raises:
        UserError: there is nothing for the backbone, or it does not fit.
    """
    if is_own(backbone, state_dict, prefix):
        check_finite(state_dict, [prefix + name for name in names_of(backbone)])
        return
    theirs = [key for key in state_dict if key.startswith(prefix)]
    if not theirs:
        raise CheckpointError(
            f"the state dict holds nothing under '{prefix}' for {type(backbone).__name__}. A file "
            "of backbone weights is loaded with the backbone's init_cfg=dict(type='Pretrained', "
            'checkpoint=...), or with load_from= after `vit-plugin convert`')
    part = {key[len(prefix):]: state_dict[key] for key in theirs}
    weights, layout = to_openmmlab(weights_of(part))
    matched = match(backbone, weights, layout)
    # torch and mmengine report what an OpenMMLab checkpoint lacks, and raise if strict
    result = matched.weights if layout == 'OpenMMLab' else complete(backbone, matched)
    for key in theirs:
        del state_dict[key]
    state_dict.update({prefix + name: value for name, value in result.items()})
    log_match(backbone, matched, 'a state dict')


def adapt_classifier(backbone: nn.Module, state_dict: MutableMapping[str, Tensor],
                     prefix: str) -> None:
    """Convert the state dict of a classifier around the backbone in place, its head included.

    Does nothing where the weights already lie under ``backbone.``, as `adapt_state_dict` sees to
    them.

    Raises:
        UserError: no known layout, or the backbone does not fit.
    """
    if is_own(backbone, state_dict, prefix + 'backbone.'):
        return
    theirs = [key for key in state_dict if key.startswith(prefix)]
    weights = weights_of({key[len(prefix):]: state_dict[key] for key in theirs})
    if locate(weights)[1] != 'backbone.':
        weights, layout = to_openmmlab(weights)
        matched = match(backbone, weights, layout)
        weights = {key: value for key, value in weights.items() if not key.startswith('backbone.')}
        matched.skipped = [name for name in matched.skipped if name != 'head']
        for name, value in complete(backbone, matched).items():
            weights['backbone.' + name] = value
        check_finite(weights, [name for name in weights if name.startswith('head.')])
        log_match(backbone, matched, 'a state dict')
    for key in theirs:
        del state_dict[key]
    state_dict.update({prefix + name: value for name, value in weights.items()})


def is_own(backbone: nn.Module, state_dict: MutableMapping[str, Tensor], prefix: str) -> bool:
    """True if a state dict has the backbone's keys, shapes and indices, no more and no less."""
    own = backbone.state_dict()
    if len(own) != sum(key.startswith(prefix) for key in state_dict):
        return False
    for name, value in own.items():
        theirs = state_dict.get(prefix + name)
        if not isinstance(theirs, Tensor) or theirs.shape != value.shape:
            return False
        # windows of 3x6 and 6x3 have the same shapes, but not the same index
        if name.endswith('relative_position_index') \
                and not torch.equal(theirs.to(value.device), value):
            return False
    return True


def complete(backbone: nn.Module, matched: Match) -> dict[str, Tensor]:
    """The matched weights, and the backbone's own for all others."""
    return {**backbone.state_dict(), **matched.weights}


def log_match(backbone: nn.Module, matched: Match, source: str) -> None:
    """Log one line, as a warning where outputs may differ from the source's."""
    level = logging.WARNING if matched.doubtful() else logging.INFO
    print_log(f'{type(backbone).__name__} <- {source}, {matched.summary()}', 'current', level)
