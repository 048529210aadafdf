"""The checkpoint that a run goes on from, also where its folder was renamed or copied."""
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2  # noqa: F401, which mmengine's hooks need
import pytest
import torch

from vit_plugin.training.checkpoints import find_checkpoint


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Path]:
    def run(*names: str, pointer: str | Path | None = None) -> Path:
        """The work dir of a run that wrote these checkpoints, the last one at last."""
        folder = tmp_path / 'run'
        folder.mkdir()
        for i, name in enumerate(names):
            torch.save(dict(name=name), folder / name)
            os.utime(folder / name, (1000 + i, 1000 + i))
        (folder / 'last_checkpoint').write_text(str(pointer or folder / names[-1]))
        return folder
    return run


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize('name', ['ckpt_{}.pth', 'iter_{}_of_vit16.pth', 'final.pth'])
def test_names_of_ones_own(run: Callable[..., Path], name: str) -> None:
    folder = run(*dict.fromkeys(name.format(i) for i in (9, 10)))
    last = folder / name.format(10)
    assert find_checkpoint(folder) == (last, [])
    damage(last)
    before = folder / name.format(9)
    assert find_checkpoint(folder) == (None if before == last else before, [last])


def test_renamed_and_copied(run: Callable[..., Path], tmp_path: Path) -> None:
    folder = run('epoch_9.pth', 'epoch_10.pth')
    copy = tmp_path / 'copy'
    shutil.copytree(folder, copy, copy_function=shutil.copyfile)  # the order of times is chance
    os.utime(copy / 'epoch_10.pth', (1, 1))
    assert find_checkpoint(copy) == (copy / 'epoch_10.pth', [])
    # not the other run's, which may have gone on since
    damage(copy / 'epoch_10.pth')
    assert find_checkpoint(copy) == (copy / 'epoch_9.pth', [copy / 'epoch_10.pth'])
    folder.rename(tmp_path / 'renamed')
    assert find_checkpoint(tmp_path / 'renamed') == (tmp_path / 'renamed/epoch_10.pth', [])


@pytest.mark.parametrize('pointer', ['gone/epoch_4.pth', ' ', '/dev/null'])
def test_useless_pointer(run: Callable[..., Path], pointer: str,
                         monkeypatch: pytest.MonkeyPatch) -> None:
    """The highest number, whatever the times; what was published has no optimizer."""
    folder = run('epoch_10.pth', 'epoch_9.pth', 'epoch_10-1a2b3c99.pth', 'best_top1_epoch_12.pth',
                 'epoch_11.pth.part', pointer=pointer)
    monkeypatch.chdir(folder)  # whose files are no candidates by themselves
    assert find_checkpoint(folder) == (folder / 'epoch_10.pth', [])
    assert find_checkpoint(folder / 'absent') == (None, [])


def test_run_that_was_resumed_from_an_earlier_checkpoint(run: Callable[..., Path]) -> None:
    folder = run('epoch_9.pth', 'epoch_10.pth', 'epoch_3.pth')
    assert find_checkpoint(folder) == (folder / 'epoch_3.pth', [])


def test_checkpoints_in_another_folder(run: Callable[..., Path], tmp_path: Path) -> None:
    """``out_dir`` of the hook: only the pointer is in the work dir."""
    work = tmp_path / 'work'
    work.mkdir()
    folder = run('iter_9.pth', 'iter_10.pth')
    shutil.move(folder / 'last_checkpoint', work)
    assert find_checkpoint(work) == (folder / 'iter_10.pth', [])
    damage(folder / 'iter_10.pth')
    assert find_checkpoint(work) == (folder / 'iter_9.pth', [folder / 'iter_10.pth'])


@pytest.mark.parametrize('content', [
    b'', b'\x80\x04\x95\x00', b'epoch_1.pth\x00', b'a' * 5000, b'iter_1.pth\niter_2.pth'],
    ids=['empty', 'binary', 'zero', 'long', 'lines'])
def test_damaged_pointer(run: Callable[..., Path], content: bytes) -> None:
    """As without one: the checkpoint of the highest number."""
    folder = run('epoch_1.pth', 'epoch_2.pth')
    (folder / 'last_checkpoint').write_bytes(content)
    assert find_checkpoint(folder) == (folder / 'epoch_2.pth', [])
