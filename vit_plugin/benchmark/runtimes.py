"""Inference of the plugin's model by ONNX Runtime and OpenVINO, exported for one size.

Each runs in a process of its own when nothing else is timed: the threads of a runtime go on
waiting for the next image, and take the processor from others.
"""
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor, nn

from vit_plugin.export.runtimes import open_onnx, open_openvino

from .measure import seconds

# The precision in which OpenVINO computes; its default is bfloat16 where the CPU has it.
PRECISIONS = {torch.float32: 'f32', torch.bfloat16: 'bf16', torch.float16: 'f16'}


def measure_runtimes(model: nn.Module, x: Tensor, dtype: torch.dtype, rounds: int
                     ) -> dict[str, list[float]]:
    """Seconds of a batch in every round, by the runtimes that are installed.

    Args:
        model: In float32; OpenVINO casts it to ``dtype``, and ONNX Runtime is left out where that
            is another.
        x: The batch (B, 3, H, W).
        dtype: To compute in.
        rounds: How often each runs.
    """
    runtimes = ['OpenVINO']
    if dtype == torch.float32:
        runtimes.append('ONNX Runtime')
    found = {}
    with TemporaryDirectory() as folder:
        path = Path(folder, 'model.onnx')
        for title in runtimes:
            try:
                write_onnx(model, x, path)
                with get_context('spawn').Pool(1) as pool:
                    found[title] = pool.apply(time_runtime, (
                        title, path, tuple(x.shape), PRECISIONS[dtype], rounds,
                        torch.get_num_threads()))
            except ImportError as error:
                print(f'  without {title}: {error}')
    return found


def write_onnx(model: nn.Module, x: Tensor, path: Path) -> None:
    """Export once for the size of the batch."""
    if path.exists():
        return
    with torch.inference_mode():
        program = torch.onnx.export(model, (x,), dynamo=True, verbose=False, input_names=['image'])
    assert program is not None
    program.save(path)


def time_runtime(title: str, path: Path, shape: tuple[int, ...], precision: str, rounds: int,
                 threads: int) -> list[float]:
    """Seconds of every round after two that warm up, in a process that does nothing else."""
    torch.set_num_threads(threads)
    run = open_onnx(path) if title == 'ONNX Runtime' else open_openvino(path, precision)
    step = partial(run, np.random.rand(*shape).astype(np.float32))
    step(), step()
    return [seconds(step, torch.device('cpu')) for _ in range(rounds)]
