"""A deployed model as a program of torch.export."""
import re
from collections.abc import Sequence

import torch
from torch.export import Dim, ExportedProgram

from vit_plugin.errors import UserError

from .deployed import Deployed

OLDEST = (2, 13)  # older ones have not been tried


def check_torch() -> None:
    """Raise `UserError` where torch's exporter is older than `OLDEST`."""
    version = tuple(int(part) for part in re.findall(r'\d+', torch.__version__)[:2])
    if version < OLDEST:
        raise UserError(f'export needs torch {".".join(map(str, OLDEST))} or newer, there is '
                        f'{torch.__version__}')


def make_program(model: Deployed, size: Sequence[int], fixed: bool = False) -> ExportedProgram:
    """Export a model for images (B, 3, H, W) of any size, or of one.

    Args:
        model: What to export.
        size: (H, W) of the image that it is exported with.
        fixed: True if this is the only size.

    Raises:
        UserError: a part of the model makes a size fixed that must not be, or depends on values.
    """
    image = 255 * torch.rand(2 if model.any_batch else 1, 3, *size)
    dims = {0: Dim.DYNAMIC} if model.any_batch else {}
    if not fixed:
        dims |= {2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
    try:
        with torch.no_grad():
            return torch.export.export(model, (image,), dynamic_shapes=(dims,), strict=False)
    except (RuntimeError, ValueError) as error:  # of torch's symbolic shapes and its exporter
        raise UserError(explain(error, fixed)) from error


def explain(error: Exception, fixed: bool) -> str:
    """The message for a model that torch.export refuses."""
    reason = ' '.join(str(error).split())[:300]
    place = re.findall(r'File "[^"]*?([\w.]+/[\w.]+/[\w.]+\.py)", line (\d+)', str(error))
    where = ''
    if place:
        where = f' (at {place[-1][0]}, line {place[-1][1]})'
    advice = ''
    if not fixed:
        advice = '. Where one size is enough, --fixed --size H W may export it'
    return f'torch.export cannot export the model{where}: {reason}{advice}'
