"""Whether a checkpoint fits the model and the optimizer that go on from it."""
import re

from mmengine.runner import Runner
from torch.optim import Optimizer

from vit_plugin.checkpoints import CheckpointError
from vit_plugin.errors import UserError, shorten
from vit_plugin.toolkits import unwrap


def check_weights(runner: Runner, checkpoint: dict) -> None:
    """Load the weights as mmengine does next, and look at what is missing.

    mmengine warns, and goes on with random ones: right for fine-tuning, not for testing and
    resuming.

    Raises:
        UserError: the checkpoint lacks weights of the model, or has them in other shapes.
    """
    model = unwrap(runner.model)
    weights = {name.removeprefix('module.'): value
               for name, value in checkpoint.get('state_dict', checkpoint).items()}
    try:
        missing = set(model.load_state_dict(weights, strict=False).missing_keys)
    except RuntimeError as error:
        wrong = re.findall(r'size mismatch for (.+)', str(error))
        if not wrong:
            raise
    except CheckpointError as error:
        wrong = [str(error)]
    else:
        wrong = [f'{name} is missing' for name, _ in model.named_parameters()
                 if name in missing]
    check_optimizer(runner, checkpoint)
    if wrong:
        path = runner.cfg.get('load_from') or 'of this work dir'
        raise UserError(f"the checkpoint '{path}' is of another model than the config:\n  "
                        + shorten(wrong, separator='\n  ')
                        + '\nUse the config that it was trained with, with the same options')


def check_optimizer(runner: Runner, checkpoint: dict) -> None:
    """Raise `UserError` if a run would be resumed with another kind of optimizer."""
    optimizer = getattr(runner.optim_wrapper, 'optimizer', None)
    groups = checkpoint.get('optimizer', {}).get('param_groups')
    if not groups or not isinstance(optimizer, Optimizer):  # a config, or none, in a test
        return
    lacking = [key for key in ('momentum', 'betas', 'alpha')
               if key in optimizer.defaults and key not in groups[0]]
    if lacking:
        raise UserError(
            "the checkpoint is of a training with another optimizer: the config's "
            f'{type(optimizer).__name__} has {lacking[0]}, and that one had not. Resume with '
            'the optimizer that it was trained with, or start from its weights alone: '
            '--cfg-options load_from=CHECKPOINT')
