"""Folders with something wrong are refused before training; corrupt images are named."""
import os
from collections.abc import Callable
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
import torch
from mmcv.transforms import LoadImageFromFile
from mmengine.logging import MMLogger
from mmpretrain import datasets
from mmpretrain.datasets import BaseDataset
from mmpretrain.registry import DATASETS
from PIL import Image

from tests.conftest import WNIDS
from tests.training.test_sampling import build_loader, pixels
from vit_plugin.data.loading import LoadImage
from vit_plugin.errors import UserError

ORDER = dict(type='DefaultSampler', shuffle=True)


def build(kind: str, **arguments: object) -> object:
    return DATASETS.build(dict(type=f'vit_plugin.{kind}', pipeline=[], **arguments))


def test_both_layouts_of_imagenet(imagenet: Path, tmp_path: Path) -> None:
    """Folders, and images of one folder listed in meta/val.txt, give the same samples."""
    classes = dict(metainfo=dict(classes=WNIDS))
    folders = build('ImageNet', data_root=str(imagenet), split='val', **classes)
    assert [folders.get_data_info(i)['gt_label'] for i in range(len(folders))] == [0] * 4 + [1] * 4
    flat = tmp_path / 'flat'
    (flat / 'val').mkdir(parents=True)
    (flat / 'meta').mkdir()
    lines = []
    for label, wnid in enumerate(WNIDS):
        for image in sorted((imagenet / 'val' / wnid).iterdir()):
            (flat / 'val' / image.name).symlink_to(image)
            lines.append(f'{image.name} {label}')
    (flat / 'meta/val.txt').write_text('\n'.join(lines))
    listed = build('ImageNet', data_root=str(flat), split='val', **classes)
    for i in range(8):
        one, other = folders.get_data_info(i), listed.get_data_info(i)
        assert one['gt_label'] == other['gt_label']
        assert Path(one['img_path']).name == Path(other['img_path']).name


def test_wrong_data_root_and_empty_classes(image_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no folder '.*absent/train'.*--data-root"):
        build('ImageNet', data_root=str(tmp_path / 'absent'), split='train')
    (tmp_path / 'nothing').mkdir()
    with pytest.raises(ValueError, match="nothing' is empty"):
        build('ImageFolder', data_root=str(tmp_path / 'nothing'))
    # mmpretrain's warns of an empty class, and trains
    copytree(image_folder, tmp_path / 'gap')
    (tmp_path / 'gap/bright').mkdir()
    with pytest.raises(ValueError, match=r"1 of 3 classes in '.*gap' have no images: bright"):
        build('ImageFolder', data_root=str(tmp_path / 'gap'))


def logged(tmp_path: Path) -> Callable[[], str]:
    """What is logged from now on, as by a runner."""
    log = tmp_path / 'data.log'
    MMLogger.get_instance(tmp_path.name, log_file=str(log))
    return log.read_text


ENDINGS = ['.webp', '.tiff', '.TIF', '.WEBP', '.Jpg', '.gif', '.jp2', '.jfif', '.tga']


@pytest.mark.parametrize('kind', ['ImageFolder', 'ImageNet'])
def test_images_of_every_ending_are_read(kind: str, image_folder: Path, tmp_path: Path) -> None:
    """mmpretrain's passes over most of these without a word."""
    copytree(image_folder, tmp_path / 'folder')
    for ending in ENDINGS:
        with Image.open(image_folder / 'dark/0.png') as image:
            image.save(tmp_path / f'folder/dark/more{ending}')
    dataset = build(kind, data_root=str(tmp_path / 'folder'), metainfo=dict(
        classes=('dark', 'light')))
    found = {Path(dataset.get_data_info(i)['img_path']).name for i in range(len(dataset))}
    assert found == {f'{i}.png' for i in range(4)} | {f'more{ending}' for ending in ENDINGS}
    assert len(dataset) == 8 + len(ENDINGS)
    assert LoadImage()(dataset.get_data_info(0))['img'].shape == (64, 64, 3)


def test_files_that_are_passed_over_are_named(image_folder: Path, tmp_path: Path) -> None:
    copytree(image_folder, tmp_path / 'folder')
    for name in ('dark/1.heic', 'light/2.HEIC', 'light/notes.txt', 'dark/without_ending',
                 'beside.png', '.hidden'):
        (tmp_path / 'folder' / name).write_bytes(b'')
    said = logged(tmp_path)
    assert len(build('ImageFolder', data_root=str(tmp_path / 'folder'))) == 8
    assert "folder': 5 files are passed over" in said()
    for name in ('dark/1.heic', 'light/2.HEIC', 'light/notes.txt', 'dark/without_ending',
                 'beside.png'):
        assert name in said()
    assert 'hidden' not in said()


@pytest.mark.parametrize('with_label', [True, False])
def test_hidden_folders(image_folder: Path, tmp_path: Path, with_label: bool) -> None:
    """Jupyter leaves ``.ipynb_checkpoints``: no class, no images, and the labels stay."""
    root = tmp_path / 'folder'
    copytree(image_folder, root)
    copytree(image_folder / 'dark', root / 'dark-2/deep/er')  # an order of its own
    expected = samples_of(datasets.CustomDataset(data_root=str(root), with_label=with_label))
    for place in ('.ipynb_checkpoints', 'dark/.ipynb_checkpoints', 'light/deep/.cache/x'):
        copytree(image_folder / 'light', root / place)
    said = logged(tmp_path)
    dataset = build('ImageFolder', data_root=str(root), with_label=with_label)
    assert samples_of(dataset) == expected
    assert said().count('hidden folders are passed over') == 1
    for place in ('.ipynb_checkpoints, ', 'dark/.ipynb_checkpoints', 'light/deep/.cache'):
        assert place in said()
    if with_label:
        assert dataset.metainfo['classes'] == ('dark', 'dark-2', 'light')
        named = dict(data_root=str(root), metainfo=dict(classes=['dark', 'light']))
        with pytest.raises(ValueError, match=r'2 classes, .* 3 folders: dark, dark-2, light'):
            build('ImageFolder', **named)


def samples_of(dataset: BaseDataset) -> list[tuple[str, int | None]]:
    samples = map(dataset.get_data_info, range(len(dataset)))
    return [(sample['img_path'], sample.get('gt_label')) for sample in samples]


def test_broken_links_are_named(image_folder: Path, tmp_path: Path) -> None:
    root = tmp_path / 'folder'
    copytree(image_folder, root)
    (root / 'dark/0.png').unlink()
    (root / 'dark/0.png').symlink_to(tmp_path / 'gone.png')
    (root / 'dark/1.png').unlink()
    (root / 'dark/1.png').symlink_to(image_folder / 'dark/1.png')
    said = logged(tmp_path)
    assert len(build('ImageFolder', data_root=str(root))) == 7
    assert '1 file is passed over: dark/0.png (broken link)\n' in said()
    only = tmp_path / 'only'
    (only / 'dark').mkdir(parents=True)
    with pytest.raises(ValueError, match=r"only' holds no images$"):
        build('ImageFolder', data_root=str(only))
    (only / 'dark/0.png').symlink_to(tmp_path / 'gone.png')
    with pytest.raises(ValueError, match=r"only' holds no images; 1 file is passed over: "
                                         r'dark/0.png \(broken link\)$'):
        build('ImageFolder', data_root=str(only))


def test_links_in_circles_and_pipes(image_folder: Path, tmp_path: Path) -> None:
    """Neither read endlessly nor waited for."""
    root = tmp_path / 'folder'
    copytree(image_folder, root)
    (root / 'dark/up').symlink_to(root)
    (root / 'dark/itself.png').symlink_to(root / 'dark/itself.png')
    (root / 'light/a').symlink_to(root / 'light/b')
    (root / 'light/b').symlink_to(root / 'light/a')
    os.mkfifo(root / 'dark/pipe.png')
    (root / 'light/more').symlink_to(image_folder / 'light')  # as data sets are put together
    said = logged(tmp_path)
    assert len(build('ImageFolder', data_root=str(root))) == 12
    assert ('5 files are passed over: dark/itself.png (link in a circle), dark/pipe.png (no file), '
            'dark/up (link in a circle), light/a (link in a circle), light/b (link in a circle)'
            ) in said()
    (root / 'top').symlink_to(root)
    with pytest.raises(UserError, match=r'have no images: top; .* \(6 in all\)'):
        build('ImageFolder', data_root=str(root))


def test_images_that_were_left_out_on_purpose(image_folder: Path, tmp_path: Path) -> None:
    """``extensions`` is the user's word: what else there is gets counted, not read."""
    copytree(image_folder, tmp_path / 'folder')
    (tmp_path / 'folder/dark/0.png').rename(tmp_path / 'folder/dark/0.jpg')
    said = logged(tmp_path)
    assert len(build('ImageFolder', data_root=str(tmp_path / 'folder'), extensions=('.png', ))) == 7
    assert "1 file is passed over: dark/0.jpg" in said()


def test_folder_of_other_files_alone(image_folder: Path, tmp_path: Path) -> None:
    copytree(image_folder, tmp_path / 'folder')
    for i in range(4):
        (tmp_path / f'folder/dark/{i}.png').rename(tmp_path / f'folder/dark/{i}.heic')
    with pytest.raises(ValueError, match=r"1 of 2 classes in '.*folder' have no images: dark; "
                                         r'4 files are passed over: dark/0\.heic, .*extensions='):
        build('ImageFolder', data_root=str(tmp_path / 'folder'))
    for i in range(4):
        (tmp_path / f'folder/light/{i}.png').rename(tmp_path / f'folder/light/{i}.heic')
    with pytest.raises(ValueError, match=r"'.*folder' holds no images; 8 files are passed over"):
        build('ImageFolder', data_root=str(tmp_path / 'folder'))


def test_wrong_data_root_ends_the_tool_before_training(
        tool: Callable[..., None], tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"Error: there is no folder '/absent/train'"):
        tool('train', 'configs/classification/deit-tiny_8xb128_in1k.py', '--data-root', '/absent',
             '--work-dir', tmp_path)


@pytest.fixture
def corrupt(image_folder: Path, tmp_path: Path) -> Path:
    """The folder of 8 images with one truncated and one that is no image."""
    root = tmp_path / 'corrupt'
    copytree(image_folder, root)
    (root / 'dark/1.png').write_bytes((root / 'dark/1.png').read_bytes()[:2000])
    (root / 'light/2.png').write_bytes(b'no image')
    return root


def allow(loader: object, count: int) -> object:
    """Let the loader's data set pass over so many corrupt images."""
    loader.dataset.dataset.pipeline.transforms[0] = LoadImage(max_corrupt=count)
    return loader


@pytest.mark.parametrize('workers', [0, 2])
def test_corrupt_images_are_named_once(corrupt: Path, tmp_path: Path, workers: int) -> None:
    log = tmp_path / 'train.log'
    MMLogger.get_instance(tmp_path.name, log_file=str(log))  # as a runner does
    loader = allow(build_loader(corrupt, workers, ORDER), 2)
    for epoch in range(3):
        pixels(loader, epoch)
    for path in ('dark/1.png', 'light/2.png'):
        assert log.read_text().count(f"cannot decode the image '{corrupt / path}'") == 1


def test_corrupt_images_are_replaced_by_the_same(corrupt: Path) -> None:
    one, two = (allow(build_loader(corrupt, workers, ORDER), 2) for workers in (0, 2))
    assert torch.equal(pixels(one, 0), pixels(two, 0))


@pytest.mark.parametrize('workers', [0, 2])
def test_too_many_corrupt_images(corrupt: Path, workers: int) -> None:
    loader = allow(build_loader(corrupt, workers, ORDER), 1)
    with pytest.raises(ValueError, match='2 corrupt images are more than max_corrupt=1'):
        pixels(loader, 0)


@pytest.mark.slow
@pytest.mark.parametrize('load', [
    dict(type='vit_plugin.LoadImage'),
    dict(type='LoadImageFromFile', imdecode_backend='pillow')], ids=['ours', 'stock'])
def test_validation_stops_at_the_first(corrupt: Path, load: dict) -> None:
    # mmcv's own loading does not tell which image it was
    dataset = DATASETS.build(dict(
        type='vit_plugin.ImageFolder', data_root=str(corrupt), pipeline=[load]))
    with pytest.raises(ValueError, match=r"cannot decode the image '.*dark/1.png' \(OSError"):
        dataset[1]


@pytest.mark.parametrize('mode', ['L', 'LA', 'P', 'RGBA', 'CMYK', '1'])
@pytest.mark.parametrize('load', [LoadImage, LoadImageFromFile])
def test_images_of_any_mode_become_bgr(load: type, mode: str, tmp_path: Path) -> None:
    """Grey, palette and transparent images load like the RGB image that they show."""
    name = str(tmp_path / ('image.jpg' if mode == 'CMYK' else 'image.png'))
    Image.new('RGB', (6, 4), 'white').convert(mode).save(name)
    image = load().transform(dict(img_path=name))['img']
    assert image.shape == (4, 6, 3)
    assert image.dtype == np.uint8
    assert (image > 250).all()


def test_missing_file_is_no_corrupt_image(image_folder: Path) -> None:
    with pytest.raises(FileNotFoundError):
        LoadImage(max_corrupt=5).transform(dict(img_path=str(image_folder / 'gone.png')))
    with pytest.raises(ValueError, match='use max_corrupt instead'):
        LoadImage(ignore_empty=True)
