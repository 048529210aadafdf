"""Checkpoints: whole files, and of the model and the optimizer that go on from them."""
import re
from pathlib import Path

from torch import Tensor, nn
from torch.optim import Optimizer

from vit_plugin.checkpoints import CheckpointError, check_finite, names_of
from vit_plugin.errors import did_you_mean, shorten
from vit_plugin.files import is_whole_archive
from vit_plugin.toolkits import unwrap

from .findings import Finding


def check_checkpoint_file(path: str) -> list[Finding]:
    """Error where a checkpoint is not there, or damaged."""
    if '://' in path:
        return []
    if not Path(path).is_file():
        beside = Path(path).parent.glob('*.pth')
        near = did_you_mean(Path(path).name, [file.name for file in beside])
        return [Finding(f"there is no checkpoint '{path}'{near or '.'}")]
    with open(path, 'rb') as file:
        is_zip = file.read(2) == b'PK'  # older checkpoints are none
    if is_zip and not is_whole_archive(path):
        return [Finding(
            f"the checkpoint '{path}' is truncated or damaged. Training with --resume without a "
            'value takes the newest whole one of the work dir')]
    return []


def check_weights(model: nn.Module, checkpoint: dict, path: str) -> list[Finding]:
    """Error where a checkpoint lacks weights of the model, or has them in other shapes.

    Loads the weights, as mmengine does next. mmengine only warns, and goes on with random ones:
    right for fine-tuning, not for testing and resuming.
    """
    wrong = misfits(unwrap(model), weights_in(checkpoint))
    if not wrong:
        return []
    return [Finding(f"the checkpoint '{path}' is of another model than the config:\n  "
                    + shorten(wrong, separator='\n  ')
                    + '\nUse the config that it was trained with, with the same options')]


def weights_in(checkpoint: dict) -> dict:
    """The weights that mmengine takes from a checkpoint."""
    weights = checkpoint.get('state_dict', checkpoint)
    return {str(name).removeprefix('module.'): value for name, value in weights.items()}


def check_finite_weights(model: nn.Module, checkpoint: dict, path: str) -> list[Finding]:
    """Error where a model would get weights that are NaN or infinite."""
    weights, own = weights_in(checkpoint), unwrap(model).state_dict()
    names = [name for name in names_of(unwrap(model)) if name in own and name in weights
             and getattr(weights[name], 'shape', None) == own[name].shape]
    try:
        check_finite(weights, names)
    except CheckpointError as error:
        return [Finding(f"the checkpoint '{path}' has weights that are {error}")]
    return []


def misfits(model: nn.Module, weights: dict) -> list[str]:
    """Weights of a model that others do not replace, with the reasons."""
    try:
        missing = set(model.load_state_dict(weights, strict=False).missing_keys)
    except RuntimeError as error:
        wrong = re.findall(r'size mismatch for (.+)', str(error))
        if not wrong:
            raise
        return wrong
    except CheckpointError as error:
        return [str(error)]
    return [f'{name} is missing' for name, _ in model.named_parameters() if name in missing]


def check_optimizer_state(optimizer: object, checkpoint: dict) -> list[Finding]:
    """Error where a training would be resumed without its progress, or by another optimizer."""
    if 'iter' not in (checkpoint.get('meta') or {}):
        return [Finding('the checkpoint holds weights alone, so that no training can go on from '
                        f'it. {INSTEAD_OF_RESUMING}')]
    groups = checkpoint.get('optimizer', {}).get('param_groups')
    if not groups or not isinstance(optimizer, Optimizer):
        return []
    lacking = [key for key in ('momentum', 'betas', 'alpha')
               if key in optimizer.defaults and key not in groups[0]]
    if lacking:
        return [Finding(
            "the checkpoint is of a training with another optimizer: the config's "
            f'{type(optimizer).__name__} has {lacking[0]}, and that one had not. '
            f'{INSTEAD_OF_RESUMING}')]
    states = checkpoint['optimizer'].get('state', {}).values()
    values = [value for state in states for value in state.values()]
    if any(isinstance(value, Tensor) and value.isnan().any() for value in values):
        return [Finding('the optimizer of the checkpoint has running averages that are NaN, which '
                        f'its weights are after the next step. {INSTEAD_OF_RESUMING}')]
    stored = [len(group['params']) for group in groups]
    sizes = [len(group['params']) for group in optimizer.param_groups]
    if stored != sizes:
        return [Finding(
            'the optimizer of the checkpoint has other groups of parameters than the config makes: '
            f'{sum(stored)} parameters in {len(stored)} groups there, {sum(sizes)} in '
            f'{len(sizes)} here. {INSTEAD_OF_RESUMING}')]
    return []


INSTEAD_OF_RESUMING = ('Resume with the config that it was trained with, or start from its weights '
                       'alone: --cfg-options load_from=CHECKPOINT')
