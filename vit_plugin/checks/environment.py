"""Machine and processes: what a run needs of them before it begins."""
import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryFile

import torch

from .findings import Finding


def check_work_dir(work_dir: str) -> list[Finding]:
    """Error where nothing can be written to the work dir; makes it where it is absent."""
    try:
        Path(work_dir).mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=work_dir) as file:
            file.write(b'0' * 4096)
    except OSError as error:
        return [Finding(f"nothing can be written to the work dir '{work_dir}' ({error.strerror}). "
                        'Choose another one with --work-dir')]
    return []


def check_precision(dtype: str) -> list[Finding]:
    """Error where the device does not compute in ``'float16'`` or ``'bfloat16'``."""
    gpu = torch.cuda.is_available()
    if dtype == 'float16' and not gpu:
        return [Finding('--amp float16 needs a GPU, and torch finds none: --amp bfloat16')]
    if dtype == 'bfloat16' and gpu and not torch.cuda.is_bf16_supported():
        return [Finding(f'{torch.cuda.get_device_name()} does not compute in bfloat16: '
                        '--amp float16')]
    return []


def check_gpus(local_rank: int) -> list[Finding]:
    """Error where a process has no GPU of its own on a machine that has some."""
    gpus = torch.cuda.device_count()
    if local_rank < gpus or gpus == 0:
        return []
    return [Finding(f'there are more processes than GPUs: process {local_rank} on this machine '
                    f'finds {gpus}. Start as many as there are')]


def check_restarts(resume: str | None, environment: Mapping[str, str] = os.environ
                   ) -> list[Finding]:
    """Error where torchrun may restart the processes, but not so that they would go on.

    Since torch 2.5 its agents keep what dead processes have left behind in the store where the
    processes find each other, and the restarted ones wait for the dead (pytorch#135712).
    """
    if environment.get('TORCHELASTIC_MAX_RESTARTS', '0') == '0':
        return []
    if resume != 'auto':
        return [Finding('restarted processes would begin from the start: add --resume, without a '
                        'value, to go on from the last checkpoint of the work dir')]
    if environment.get('TORCHELASTIC_USE_AGENT_STORE') == 'True':
        return [Finding('restarted processes would wait for the dead ones: start them with '
                        'MAX_RESTARTS=N tools/dist_train.sh, or torchrun with --rdzv-backend c10d '
                        'and TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 in its environment')]
    return []
