"""A detector or segmentor that is killed within an epoch and resumed ends as one that was not."""
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.cli.test_inference import DETECTION, SEGMENTATION
from tests.shrink import shrunk


@pytest.fixture
def tall_and_square(coco: Path, tmp_path: Path) -> Path:
    """The tests' images, of which the second and third are cut to be tall."""
    folder = tmp_path / 'coco'
    shutil.copytree(coco, folder)
    content = json.loads((folder / 'annotations.json').read_text())
    for image in content['images'][1:3]:
        path = folder / 'images' / image['file_name']
        Image.open(path).crop((0, 0, 60, 64)).save(path)
        image['width'] = 60
    (folder / 'annotations.json').write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize('path', [DETECTION, SEGMENTATION], ids=lambda path: path.stem)
def test_resumed_run_equals_uninterrupted(
        path: Path, tall_and_square: Path, ade: Path, tool: Callable[..., None], tmp_path: Path
        ) -> None:
    cfg = shrunk(path, tall_and_square if path == DETECTION else ade)
    cfg.default_hooks.checkpoint.update(by_epoch=False, interval=1, max_keep_ckpts=-1,
                                        save_best=None)
    if path == DETECTION:
        cfg.train_cfg.max_epochs = 2  # of two iterations
    else:
        cfg.train_cfg.max_iters = 4
    cfg.dump(tmp_path / 'small.py')
    run = ('train', tmp_path / 'small.py', '--no-validate', '--work-dir')
    tool(*run, tmp_path / 'whole', '--cfg-options', 'randomness.seed=3')
    tool(*run, tmp_path / 'resumed', '--resume', tmp_path / 'whole/iter_3.pth', '--cfg-options',
         'train_dataloader.num_workers=1')
    assert not (tmp_path / 'resumed/iter_5.pth').exists()
    whole, resumed = (torch.load(tmp_path / name / 'iter_4.pth', weights_only=False)
                      for name in ('whole', 'resumed'))
    for name, value in whole['state_dict'].items():
        assert torch.equal(value, resumed['state_dict'][name]), name
    for key, state in whole['optimizer']['state'].items():
        for name, value in state.items():
            assert torch.equal(value, resumed['optimizer']['state'][key][name]), (key, name)
