"""mmpretrain's annotation files: what is refused, and that mmpretrain reads all that is not."""
import re
from pathlib import Path

import pytest

from tests.tool_runs import Run
from vit_plugin.checks.annotation_lists import check_annotation_list

WRONG = {
    'CSV': (b'a.png,0\nb.png,1\n', "line 1 is 'a.png,0'"),
    'header': (b'image label\na.png 0\n', "line 1 is 'image label'"),
    'tabs': (b'a.png\t0\n', r"line 1 is 'a.png\\t0'"),
    'empty line': (b'a.png 0\n\nb.png 1\n', "line 2 is ''"),
    'name of the class': (b'a.png dark\n', "line 1 is 'a.png dark'"),
    'fraction': (b'a.png 0.0\n', "line 1 is 'a.png 0.0'"),
    'two spaces': (b'a.png  0\n', "line 1 is 'a.png  0'"),
    'label alone': (b' 1\n', "line 1 is ' 1'"),
    'Latin-1': ('a.png 0\nü.png 1\n'.encode('latin-1'), 'line 2 of .* is not in UTF-8'),
}
RIGHT = {'plain': b'a.png 0\nb.png 1', 'names with spaces': b'a photo.png 0\n',
         'Windows': b'a.png 0\r\nb.png 1\r\n', 'UTF-8': 'ü.png 1\n'.encode(), 'empty': b''}


@pytest.mark.parametrize('kind', WRONG)
def test_wrong_lines_are_named(kind: str, tmp_path: Path) -> None:
    content, message = WRONG[kind]
    path = tmp_path / 'list.txt'
    path.write_bytes(content)
    finding, = check_annotation_list(str(path))
    assert finding.message.count(str(path)) == 1
    assert re.search(message, finding.message)


@pytest.mark.parametrize('kind', RIGHT)
def test_what_mmpretrain_reads_passes(kind: str, tmp_path: Path) -> None:
    from mmpretrain.datasets import CustomDataset
    path = tmp_path / 'list.txt'
    path.write_bytes(RIGHT[kind])
    assert check_annotation_list(str(path)) == []
    data = CustomDataset(data_root=str(tmp_path), ann_file='list.txt', lazy_init=True)
    expected = [(str(tmp_path / line.rsplit(' ', 1)[0]), int(line.rsplit(' ', 1)[1]))
                for line in RIGHT[kind].decode().splitlines()]
    assert [(info['img_path'], int(info['gt_label']))
            for info in data.load_data_list()] == expected


def test_images_without_labels(tmp_path: Path) -> None:
    path = tmp_path / 'list.txt'
    path.write_bytes(b'a photo.png\n\nb.png\n')
    finding, = check_annotation_list(str(path), has_labels=False)
    assert '1 of 3 lines' in finding.message
    path.write_bytes(b'a photo.png\nb.png\n')
    assert check_annotation_list(str(path), has_labels=False) == []


@pytest.mark.parametrize('cls', ['CustomDataset', 'vit_plugin.ImageFolder'])
@pytest.mark.parametrize(('lines', 'message'), [
    ('dark/0.png,0', "1 of 1 lines of '.*list.txt' are not the name of an image, one space"),
    ('dark/0.png 0\nlight/0.png 2', r'1 of 2 images have labels that are none of the 2 classes'),
    ('dark/0.png 1\nlight/0.png 2', r'Labels count from 0'),
    ('dark/0.png 0\nlight/0.png -1', r"-1 of '.*light/0.png'"),
    ('dark/0.png 0\nlight/9.png 1', r"1 of 2 images are not on the disk: '.*light/9.png'"),
], ids=['CSV', 'too high', 'from 1', 'negative', 'missing image'])
@pytest.mark.parametrize('split', ['train', 'val'])
def test_before_the_first_iteration(split: str, lines: str, message: str, cls: str, config: Path,
                                    image_folder: Path, tmp_path: Path, work: Path,
                                    stopped: Run) -> None:
    """Also in validation, where mmpretrain gives an accuracy for labels that are no class."""
    (tmp_path / 'list.txt').write_text(lines)
    config.write_text(config.read_text() + f"""
{split}_dataloader.update(drop_last=False, batch_size=1, dataset=dict(
    type='{cls}', data_root='{image_folder}', ann_file='{tmp_path}/list.txt',
    metainfo=dict(classes=('dark', 'light')), pipeline=pipeline))
""")
    said = stopped('train', config, '--work-dir', work)
    assert re.search(message, said)
    assert 'Epoch(train)' not in said
