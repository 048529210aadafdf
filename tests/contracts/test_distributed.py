"""Two processes on the gloo backend learn what one does."""
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from ddp_worker import BATCH, CHECKS, lora
from registered import Case, assert_close, gradients, image, loss, trainable

from tests.conftest import needs

PROCESSES = 2


@pytest.fixture(scope='module')
def seen(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """What each process of `ddp_worker` saw."""
    folder = tmp_path_factory.mktemp('ddp')
    worker = Path(__file__).with_name('ddp_worker.py')
    environment = dict(os.environ, OMP_NUM_THREADS='1')
    logs = [folder / f'{rank}.log' for rank in range(PROCESSES)]
    processes = []
    for rank, log in enumerate(logs):
        with log.open('w') as output:
            processes.append(subprocess.Popen(
                [sys.executable, str(worker), str(rank), str(PROCESSES), str(folder)],
                env=environment, stdout=output, stderr=subprocess.STDOUT))
    try:
        for process, log in zip(processes, logs):
            assert process.wait(timeout=300) == 0, log.read_text()
    finally:
        for process in processes:
            process.kill()
    return [torch.load(folder / f'{rank}.pth', weights_only=True) for rank in range(PROCESSES)]


def results(seen: list[dict], backbone: Case, check: str) -> list[Any]:
    """Of every process; the traceback of one that failed."""
    found = [one[str(backbone), check] for one in seen]
    for result in found:
        assert not isinstance(result, str), result
    return found


@pytest.mark.parametrize('check', CHECKS)
def test_ddp(backbone: Case, check: str, seen: list[dict]) -> None:
    """Stock: parameters frozen too late, or unused, stop DDP in iteration 2."""
    model = backbone.build(**dict(CHECKS[check][0], with_cp=False)).train()
    loss(model(image(BATCH, 72, 65))).backward()
    for found in results(seen, backbone, check):
        assert found.keys() == trainable(model)
        assert_close(found, gradients(model), 1e-5)


def test_ddp_of_adapters(seen: list[dict]) -> None:
    pytest.importorskip('peft')
    model = lora().train()
    loss(model(image(BATCH, 72, 65))).backward()
    for one in seen:
        assert not isinstance(one['LoRA', 'all'], str), one['LoRA', 'all']
        assert len(one['LoRA', 'all']) == 12  # A and B of qkv and proj in each of three blocks
        assert_close(one['LoRA', 'all'], gradients(model), 1e-5)


def test_fsdp(backbone: Case, seen: list[dict]) -> None:
    """One step of FlexibleRunner, a shard for each block, equals one step in one process.

    On the CPU this reaches sharding, gathering, gradients, frozen parameters and layer-wise
    decay; not saving (see `ddp_worker`), mixed precision or the overlap with communication.
    """
    needs('cv2')  # mmengine's runner does
    model = backbone.build(frozen_stages=0).train()
    loss(model(image(BATCH, 72, 65))).backward()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                depth, num_depths = model.get_layer_depth(name)
                parameter -= 0.1 * 0.5**(num_depths - 1 - depth) * parameter.grad
    num_blocks = num_depths - 2
    for found in results(seen, backbone, 'fsdp'):
        assert found['shards'] == num_blocks + 1  # and the root
        expected = {f'backbone.{name}': value for name, value in model.named_parameters()}
        assert_close(found['weights'], expected, 1e-5)
