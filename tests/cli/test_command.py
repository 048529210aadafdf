"""``vit-plugin COMMAND``."""
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
from mmengine.config import Config

import vit_plugin
from tests.conftest import ROOT, needs
from vit_plugin import toolkits
from vit_plugin.cli import main
from vit_plugin.configs import find_config, read_config, set_data_root
from vit_plugin.errors import UserError


class Absent:
    """Finds no library of a name."""

    def __init__(self, library: str) -> None:
        self.library = library

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.split('.')[0] == self.library:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int | None]:
    """``command('train', 'x.py')`` runs ``vit-plugin train x.py`` in this process."""
    def run(*arguments: object) -> int | None:
        monkeypatch.setattr(sys, 'argv', ['vit-plugin', *map(str, arguments)])
        return main.main()
    return run


@pytest.mark.parametrize('name', main.COMMANDS)
def test_every_command_has_help(name: str, command: Callable[..., int | None],
                                capsys: pytest.CaptureFixture) -> None:
    assert callable(import_module(main.COMMANDS[name][0]).main)
    with pytest.raises(SystemExit) as stop:
        command(name, '--help')
    assert stop.value.code == 0
    assert f'usage: vit-plugin {name} ' in capsys.readouterr().out


def test_usage(command: Callable[..., int | None], capsys: pytest.CaptureFixture) -> None:
    assert command('--version') == 0
    assert capsys.readouterr().out.strip() == vit_plugin.__version__
    assert command('--help') == 0
    assert '  train ' in capsys.readouterr().out
    assert command('tarin') == 2
    assert "There is no command 'tarin'" in capsys.readouterr().err
    assert command() == 2


def test_nothing_is_imported_for_the_usage() -> None:
    done = subprocess.run(
        [sys.executable, '-X', 'importtime', '-m', 'vit_plugin', '--help'], cwd=ROOT,
        capture_output=True, text=True, check=True)
    assert 'usage: vit-plugin COMMAND' in done.stdout
    assert 'torch' not in done.stderr


@pytest.mark.parametrize(('library', 'advice'), [
    ('mmdet', "mmdet is needed and not installed: pip install 'vit-plugin[mmdet]'"),
    ('mlxtend.data', "mlxtend is needed and not installed: pip install 'vit-plugin[demo]'"),
    ('mmengine', "mmengine is needed and not installed: pip install 'vit-plugin[mmengine]'"),
    ('cv2', "cv2 is needed and not installed: pip install 'vit-plugin[mmpretrain]'")])
def test_missing_library(library: str, advice: str, command: Callable[..., int | None],
                         monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
                         capsys: pytest.CaptureFixture) -> None:
    (tmp_path / 'needy_command.py').write_text(f'import {library}')
    monkeypatch.syspath_prepend(tmp_path)
    for name in (library, library.split('.')[0]):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, 'meta_path', [Absent(library.split('.')[0]), *sys.meta_path])
    monkeypatch.setitem(main.COMMANDS, 'train', ('needy_command', ''))
    monkeypatch.setattr(toolkits, 'is_installed', lambda name: name == 'onedl-mmengine')
    assert command('train') == 1
    assert capsys.readouterr().err.startswith(f'Error: {advice}')


@pytest.mark.parametrize(('installed', 'advice'), [
    ('mmengine', "pip install 'vit-plugin[openmmlab]' (OpenMMLab's own releases, as mmengine is"),
    ('mmengine-lite', "pip install 'vit-plugin[openmmlab]' "),
    ('onedl-mmengine', "pip install 'vit-plugin[mmdet]'. "),
    (None, "pip install 'vit-plugin[mmdet]' (the maintained distribution) or pip install ")])
def test_advice_is_for_the_distribution_that_is_there(installed: str | None, advice: str,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolkits, 'is_installed', lambda name: name == installed)
    assert toolkits.how_to_install('mmdet').startswith(advice)
    assert toolkits.how_to_install('demo').startswith("pip install 'vit-plugin[demo]'.")


def test_other_missing_modules_keep_their_error(command: Callable[..., int | None], tmp_path: Path,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    needs('mmdet')
    (tmp_path / 'needy_command.py').write_text('import mmdet.absent')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, 'needy_command', raising=False)
    monkeypatch.setitem(main.COMMANDS, 'train', ('needy_command', ''))
    with pytest.raises(ModuleNotFoundError, match=r'mmdet\.absent'):
        command('train')


OLD_STYLE = """
_base_ = 'mask_rcnn.py'
model = dict(backbone=dict(drop_path_rate=0.3))
"""
NEW_STYLE = """
from mmengine.config import read_base
with read_base():
    from .mask_rcnn import *
model['backbone'].update(drop_path_rate=0.3)
"""


@pytest.mark.parametrize('text', [OLD_STYLE, NEW_STYLE], ids=['_base_', 'read_base'])
def test_written_config_is_a_base(text: str, command: Callable[..., int | None], tmp_path: Path,
                                  capsys: pytest.CaptureFixture) -> None:
    name = 'mask-rcnn_swin-tiny_fpn_1x_coco'
    command('config', name, tmp_path / 'mask_rcnn.py')
    (tmp_path / 'mine.py').write_text(text)
    mine, expected = read_config(str(tmp_path / 'mine.py')), read_config(name)
    expected.model.backbone.drop_path_rate = 0.3
    assert mine.to_dict() == expected.to_dict()
    with pytest.raises(SystemExit, match='is there already'):
        command('config', name, tmp_path / 'mask_rcnn.py')
    capsys.readouterr()


@pytest.mark.parametrize('name', [
    'mask-rcnn_swin-tiny_fpn_1x_coco', 'mask-rcnn_swin-tiny_fpn_1x_coco.py',
    'detection/mask-rcnn_swin-tiny_fpn_1x_coco'])
def test_configs_by_name(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    found = Path(find_config(name))
    assert found.resolve() == ROOT / 'configs/detection/mask-rcnn_swin-tiny_fpn_1x_coco.py'
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    assert find_config(name) == name  # a file of the user's comes first
    with pytest.raises(UserError, match=r"Did you mean .*mask-rcnn_swin-tiny_fpn_1x_coco"):
        find_config('mask-rcnn_swin-tiny_fpn_1_coco')


def test_data_root_of_all_data_sets() -> None:
    def config(root: str) -> Config:
        joined = [dict(data_root=root), dict(type='RepeatDataset', dataset=dict(data_root=root))]
        return Config(dict(
            train_dataloader=dict(dataset=dict(type='ConcatDataset', datasets=joined)),
            val_dataloader=dict(dataset=dict(data_root=f'{root}/')), test_dataloader=None,
            val_evaluator=[dict(ann_file=f'{root}/a.json'), dict(ann_file='elsewhere/a.json')]))

    found = config('old')
    set_data_root(found, 'new')
    expected = config('new')
    expected.val_dataloader.dataset.data_root = 'new'
    assert found.to_dict() == expected.to_dict()
    with pytest.raises(UserError, match='no data set of the config has a data_root'):
        set_data_root(Config(dict(train_dataloader=dict(dataset=dict(ann_file='a.json')))), 'new')


def test_patterns_are_no_names() -> None:
    for name in ('*', 'swin-tin[y]_8xb128_in1k'):
        with pytest.raises(UserError, match='there is no config'):
            find_config(name)


def test_config_names_are_unique() -> None:
    stems = [path.stem for path in (ROOT / 'configs').glob('[!_]*/*.py')]
    assert len(stems) == len(set(stems))


def test_a_run_by_the_command(command: Callable[..., int | None], config: Path,
                              work: Path) -> None:
    new_style = config.with_name('mine.py')
    new_style.write_text(NEW_STYLE.replace('mask_rcnn', config.stem))
    command('train', new_style, '--work-dir', work, '--cfg-options', 'train_cfg.max_epochs=1')
    command('test', config, work / 'epoch_1.pth', '--work-dir', work)
    assert (work / 'epoch_1.pth').is_file()
