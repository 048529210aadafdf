"""tools/convert_checkpoint.py as a user runs it."""
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vit_plugin.checkpoints import write_checkpoint
from vit_plugin.checks.classes import classes_in

from .checkpoint_models import (
    assert_close,
    hf_swin,
    image,
    old_swin_names,
    swin,
    timm_swin,
    timm_vit,
)


def test_there_and_back(tmp_path: Path, tool: Callable, capsys: pytest.CaptureFixture) -> None:
    """timm -> OpenMMLab (.safetensors) -> official."""
    theirs = timm_swin()
    torch.save(theirs.state_dict(), tmp_path / 'timm.pth')
    file = tmp_path / 'new' / 'a.safetensors'
    tool('convert_checkpoint', tmp_path / 'timm.pth', file)
    summary = f'{tmp_path}/timm.pth (timm) -> {file} (openmmlab): 79 of 79 weights'
    assert capsys.readouterr().out.strip() == summary
    # load_from= finds no backbone in bare timm weights for a detector, but here it does
    detector = torch.nn.ModuleDict({'backbone': swin(out_indices=2)})
    detector.load_state_dict(load_file(file), strict=False)
    with torch.no_grad():
        expected = theirs.forward_features(image()).permute(0, 3, 1, 2)
        assert_close(detector['backbone'](image())[0], expected)

    tool('convert_checkpoint', file, tmp_path / 'official.pth', '--to', 'official')
    official = torch.load(tmp_path / 'official.pth')['model']
    expected = old_swin_names(theirs, masks=False)
    assert official.keys() == expected.keys()
    assert all(torch.equal(official[key], value) for key, value in expected.items())


def test_names_of_classes_are_kept(tmp_path: Path, tool: Callable,
                                   capsys: pytest.CaptureFixture) -> None:
    """There and back, as `test` compares them with the data's; weights alone have none."""
    meta = dict(dataset_meta=dict(classes=('cat', 'dog')), epoch=3)
    torch.save(dict(state_dict=timm_vit().state_dict(), meta=meta), tmp_path / 'a.pth')
    for source, target, to in (('a', 'b.pth', 'openmmlab'), ('b', 'c.pth', 'official'),
                               ('c', 'd.pth', 'openmmlab')):
        tool('convert_checkpoint', tmp_path / f'{source}.pth', tmp_path / target, '--to', to)
        assert 'weights and the names of 2 classes' in capsys.readouterr().out
        assert classes_in(torch.load(tmp_path / target)) == ['cat', 'dog']
    for target, to in (('e.pth', 'timm'), ('f.safetensors', 'openmmlab')):
        tool('convert_checkpoint', tmp_path / 'd.pth', tmp_path / target, '--to', to)
        assert 'weights, without the names of 2 classes' in capsys.readouterr().out


@pytest.mark.parametrize('meta', [None, [1], {'classes': 'cat'}, 'text'])
def test_no_names_of_classes(meta: object, tmp_path: Path, tool: Callable,
                             capsys: pytest.CaptureFixture) -> None:
    torch.save(dict(state_dict=timm_vit().state_dict(), meta=meta), tmp_path / 'a.pth')
    tool('convert_checkpoint', tmp_path / 'a.pth', tmp_path / 'b.pth')
    assert capsys.readouterr().out.rstrip().endswith('weights')
    assert torch.load(tmp_path / 'b.pth').keys() == {'state_dict'}


def test_one_of_several_models(tmp_path: Path, tool: Callable) -> None:
    weights = {f'backbone.{key}': value for key, value in timm_vit().state_dict().items()}
    torch.save({'student': {}, 'teacher': weights, 'epoch': 1}, tmp_path / 'dino.pth')
    tool('convert_checkpoint', tmp_path / 'dino.pth', tmp_path / 'a.pth', '--prefix', 'teacher')
    converted = torch.load(tmp_path / 'a.pth')['state_dict']
    assert torch.equal(converted['backbone.pos_embed'], weights['backbone.pos_embed'])


def test_folder(tmp_path: Path, tool: Callable) -> None:
    theirs = hf_swin('SwinModel')
    theirs.save_pretrained(tmp_path / 'model')
    tool('convert_checkpoint', tmp_path / 'model', tmp_path / 'a.pth')
    converted = torch.load(tmp_path / 'a.pth')['state_dict']
    assert torch.equal(converted['backbone.norm2.weight'], theirs.layernorm.weight)


def test_errors_are_one_line(tmp_path: Path, tool: Callable) -> None:
    (tmp_path / 'a.pth').write_bytes(b'')
    with pytest.raises(SystemExit) as error:
        tool('convert_checkpoint', tmp_path / 'a.pth', tmp_path / 'b.pth')
    message = error.value.code  # Python prints it, and exits with 1
    assert len(message.strip().splitlines()) == 1
    assert str(tmp_path / 'a.pth') in message
    assert [file.name for file in tmp_path.iterdir()] == ['a.pth']


@pytest.mark.parametrize(('source', 'target', 'message'), [
    ('a.pth', 'a.pth', 'is there already'), ('absent.pth', 'b.safetensors', 'is there already'),
    ('a.pth', 'folder.pth', 'is there already'), ('a.pth', 'link.pth', 'is there already'),
    ('a.pth', 'new.bin', r'must end in \.pth or \.safetensors'),
    ('absent.pth', 'new', r'must end in \.pth or \.safetensors')])
def test_nothing_is_overwritten(source: str, target: str, message: str, tmp_path: Path,
                                tool: Callable, capsys: pytest.CaptureFixture) -> None:
    """Refused before the source is read."""
    torch.save(timm_vit().state_dict(), tmp_path / 'a.pth')
    (tmp_path / 'b.safetensors').write_bytes(b'mine')
    (tmp_path / 'folder.pth').mkdir()
    (tmp_path / 'link.pth').symlink_to('gone.pth')
    before = (tmp_path / 'a.pth').read_bytes()
    with pytest.raises(SystemExit) as error:
        tool('convert_checkpoint', tmp_path / source, tmp_path / target)
    said = f'{error.value.code}{capsys.readouterr().err}'
    assert re.search(message, said)
    assert str(tmp_path / target) in said
    assert (tmp_path / 'a.pth').read_bytes() == before
    assert (tmp_path / 'b.safetensors').read_bytes() == b'mine'
    assert {file.name for file in tmp_path.iterdir()} == {'a.pth', 'b.safetensors', 'folder.pth',
                                                          'link.pth'}


class Unwritable:
    """Fails in the midst of writing; each Python words its own refusals differently."""

    def __reduce__(self) -> str:
        raise OSError('unwritable')

    contiguous = __reduce__


@pytest.mark.parametrize('name', ['a.pth', 'a.safetensors'])
def test_writing_is_atomic(name: str, tmp_path: Path) -> None:
    """A write that fails leaves the old file, and nothing else."""
    weights = timm_vit().state_dict()
    write_checkpoint(weights, tmp_path / name)
    before = (tmp_path / name).read_bytes()
    with pytest.raises(OSError, match='unwritable'):
        write_checkpoint({**weights, 'wrong': Unwritable()}, tmp_path / name)
    assert (tmp_path / name).read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [name]
