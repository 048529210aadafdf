"""tools/convert_checkpoint.py as a user runs it."""
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vit_plugin.checkpoints import write_checkpoint

from .checkpoint_models import assert_close, image, old_swin_names, swin, timm_swin, timm_vit

TOOL = Path(__file__).parents[2] / 'tools' / 'convert_checkpoint.py'


def convert(*arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, TOOL, *map(str, arguments)], capture_output=True,
                          text=True)


def test_there_and_back(tmp_path: Path) -> None:
    """timm -> OpenMMLab (.safetensors) -> official."""
    theirs = timm_swin()
    torch.save(theirs.state_dict(), tmp_path / 'timm.pth')
    file = tmp_path / 'new' / 'a.safetensors'
    done = convert(tmp_path / 'timm.pth', file)
    assert done.returncode == 0, done.stderr
    summary = f'{tmp_path}/timm.pth (timm) -> {file} (openmmlab): 79 of 79 weights'
    assert done.stdout.strip() == summary
    # load_from= finds no backbone in bare timm weights for a detector, but here it does
    detector = torch.nn.ModuleDict({'backbone': swin(out_indices=2)})
    detector.load_state_dict(load_file(file), strict=False)
    with torch.no_grad():
        expected = theirs.forward_features(image()).permute(0, 3, 1, 2)
        assert_close(detector['backbone'](image())[0], expected)

    done = convert(file, tmp_path / 'official.pth', '--to', 'official')
    assert done.returncode == 0, done.stderr
    official = torch.load(tmp_path / 'official.pth')['model']
    expected = old_swin_names(theirs, masks=False)
    assert official.keys() == expected.keys()
    assert all(torch.equal(official[key], value) for key, value in expected.items())


def test_errors_are_one_line(tmp_path: Path) -> None:
    (tmp_path / 'a.pth').write_bytes(b'')
    done = convert(tmp_path / 'a.pth', tmp_path / 'b.pth')
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert str(tmp_path / 'a.pth') in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ['a.pth']


@pytest.mark.parametrize('name', ['a.pth', 'a.safetensors'])
def test_writing_is_atomic(name: str, tmp_path: Path) -> None:
    """A write that fails leaves the old file, and nothing else."""
    weights = timm_vit().state_dict()
    write_checkpoint(weights, tmp_path / name)
    before = (tmp_path / name).read_bytes()
    with pytest.raises(Exception, match=r'pickle|attribute'):
        write_checkpoint({**weights, 'wrong': lambda: None}, tmp_path / name)
    assert (tmp_path / name).read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [name]
