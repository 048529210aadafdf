"""Images in Arrow and Parquet: the samples of a folder, and clear errors."""
import io
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import mmpretrain  # noqa: F401, whose data sets the plugin's are
import numpy as np
import pytest
import torch
from PIL import Image

from tests.data.test_packed import loader
from tests.training.test_sampling import pixels
from vit_plugin.data.hugging_face import HuggingFaceImages
from vit_plugin.errors import UserError


@pytest.fixture
def table(image_folder: Path) -> object:
    """The 8 images of the folder as a Hugging Face data set."""
    datasets = pytest.importorskip('datasets')
    images = [dict(bytes=path.read_bytes(), path=path.name)
              for path in sorted(image_folder.glob('*/*.png'))]
    return datasets.Dataset.from_dict(
        dict(picture=images, kind=[0] * 4 + [1] * 4),
        features=datasets.Features(picture=datasets.Image(),
                                   kind=datasets.ClassLabel(names=['dark', 'light'])))


def test_hugging_face_gives_the_samples_of_a_folder(table: object, image_folder: Path,
                                                    tmp_path: Path) -> None:
    table.to_parquet(tmp_path / 'train-0.parquet')
    table.save_to_disk(tmp_path / 'disk')
    common = dict(type='vit_plugin.HuggingFaceImages', image_key='picture', label_key='kind')
    order = dict(type='DefaultSampler', shuffle=True)
    expected = pixels(loader(dict(type='vit_plugin.ImageFolder', data_root=str(image_folder)), 0,
                             order), 3)
    options = dict(data_files=str(tmp_path / '*.parquet'), cache_dir=str(tmp_path / 'cache'))
    for source in (dict(source=str(tmp_path / 'disk')), dict(source='parquet', options=options)):
        for workers in (0, 2):
            one = loader(common | source, workers, order)
            assert torch.equal(pixels(one, 3), expected)
            assert one.dataset.metainfo['classes'] == ('dark', 'light')
    sample = one.dataset.dataset.get_data_info(5)
    assert sample['gt_label'] == 1
    assert np.array_equal(one.dataset.dataset.get_gt_labels(), [0] * 4 + [1] * 4)


def test_imagenet_layout(table: object, tmp_path: Path) -> None:
    """Splits of a folder of Parquet files, and of what ``save_to_disk`` has written."""
    datasets = pytest.importorskip('datasets')
    table = table.rename_columns(dict(picture='image', kind='label'))
    val = table.select(range(3, 6))
    (tmp_path / 'data').mkdir()
    for name, split in (('train', table), ('validation', val)):
        split.to_parquet(tmp_path / f'data/{name}-00000-of-00001.parquet')
    datasets.DatasetDict(train=table, validation=val).save_to_disk(tmp_path / 'disk')
    cached = dict(options=dict(cache_dir=str(tmp_path / 'cache')))
    for source, options in ((tmp_path / 'data', cached), (tmp_path / 'disk', {})):
        assert len(HuggingFaceImages(str(source), **options)) == 8
        found = HuggingFaceImages(str(source), split='validation', **options)
        assert found.get_gt_labels().tolist() == [0, 1, 1]
        assert found.metainfo['classes'] == ('dark', 'light')
    with pytest.raises(ValueError, match=r"no split 'val': set split to .*'train', 'validation'"):
        HuggingFaceImages(str(tmp_path / 'disk'), split='val')
    datasets.Dataset.from_parquet(str(tmp_path / 'data/train-00000-of-00001.parquet'),
                                  cache_dir=str(tmp_path / 'cache')).save_to_disk(tmp_path / 'one')
    with pytest.raises(ValueError, match="is the split 'train', not 'val'"):
        HuggingFaceImages(str(tmp_path / 'one'), split='val')


@pytest.mark.parametrize(('labels', 'classes', 'message'), [
    ([0, None], None, r"disk/train/1' has the label None, which should be a number from 0"),
    ([0, -1], None, 'the label -1'), ([0., 1.], None, r'the label 0\.0'),
    (['cat', 'dog'], None, r"the label 'cat', which .* a name that classes=\[...\]"),
    (['cat', 'dog'], ['cat', 'cow'], "the label 'dog', .* below 2, or one of 'cat', 'cow'"),
    (['cat', 'dog'], ['dog', 'cat'], '')])
def test_labels(labels: list, classes: list[str] | None, message: str, tmp_path: Path) -> None:
    datasets = pytest.importorskip('datasets')
    datasets.Dataset.from_dict(dict(image=[b'', b''], label=labels)).save_to_disk(tmp_path / 'disk')
    if message:
        with pytest.raises(ValueError, match=message):
            HuggingFaceImages(str(tmp_path / 'disk'), classes=classes)
    else:
        found = HuggingFaceImages(str(tmp_path / 'disk'), classes=classes)
        assert found.get_gt_labels().tolist() == [1, 0]


def test_hugging_face_data_that_is_wrong(table: object, tmp_path: Path) -> None:
    table.save_to_disk(tmp_path / 'disk')
    with pytest.raises(ValueError, match=r"has no column 'image': set .* \['picture', 'kind'\]"):
        HuggingFaceImages(str(tmp_path / 'disk'))
    table.add_column('image', ['a.png'] * 8).save_to_disk(tmp_path / 'text')
    with pytest.raises(ValueError, match=r"the column 'image' of .* holds string, not images"):
        HuggingFaceImages(str(tmp_path / 'text'), label_key='kind')
    with pytest.raises(ValueError, match=r"cannot read the split 'val' of the data set '/absent'"):
        HuggingFaceImages('/absent', split='val')


@pytest.mark.parametrize('source', ['folder', 'parquet', 'splits'])
def test_unreadable_parquet_file_is_named(source: str, table: object, tmp_path: Path) -> None:
    folder = tmp_path / 'data'
    folder.mkdir()
    table.to_parquet(folder / 'train-0.parquet')
    bad = folder / 'train-1.parquet'
    bad.write_bytes((folder / 'train-0.parquet').read_bytes()[:500])
    options: dict[str, object] = dict(cache_dir=str(tmp_path / 'cache'))
    if source != 'folder':
        files = [str(folder / '*.parquet')]
        options['data_files'] = files if source == 'parquet' else dict(train=files[0])
    with pytest.raises(ValueError, match=f"the split 'train' of .*; it cannot read '{bad}'"):
        HuggingFaceImages(str(folder) if source == 'folder' else 'parquet', options=options)


def test_hugging_face_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'datasets', None)
    with pytest.raises(ImportError, match=r"\(import of datasets halted.*\): pip install "
                       r"'vit-plugin\[huggingface\]', with NumPy 1 'pyarrow<26'"):
        HuggingFaceImages('imagenet-1k')


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    """Address of a server in this process, and what it was asked for; it gives a white image."""
    asked = []
    content = io.BytesIO()
    Image.new('RGB', (8, 8), 'white').save(content, 'PNG')

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content.getvalue())

        def log_message(self, *arguments: object) -> None:
            pass
    one = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    Thread(target=one.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{one.server_port}', asked
    one.shutdown()
    one.server_close()


def test_rows_that_are_addresses(server: tuple[str, list[str]], image_folder: Path,
                                 tmp_path: Path) -> None:
    """They make the machine call any server: refused unless their beginning is allowed."""
    datasets = pytest.importorskip('datasets')
    import pyarrow.parquet
    address, asked = server
    rows = [dict(bytes=(image_folder / 'dark/0.png').read_bytes(), path='http://name/of.png'),
            dict(bytes=None, path=str(image_folder / 'dark/1.png')),
            dict(bytes=None, path=f'{address}/a/2.png')]
    features = datasets.Features(image=datasets.Image(), label=datasets.Value('int64'))
    table = pyarrow.table(dict(image=rows, label=[0, 0, 1]), schema=features.arrow_schema)
    pyarrow.parquet.write_table(table, tmp_path / 'train.parquet')
    options = dict(data_files=str(tmp_path / '*.parquet'), cache_dir=str(tmp_path / 'cache'))
    for allowed in ([], ['https://127.0.0.1/'], [address[:-1]], [f'{address}/a/2']):
        with pytest.raises(UserError, match=rf"1 images of 'parquet' .*{address}/a/2"):
            HuggingFaceImages('parquet', options=options, addresses=allowed)
    assert asked == []
    found = HuggingFaceImages('parquet', options=options, addresses=[f'{address}/a'])
    images = [Image.open(io.BytesIO(found.read(found.get_data_info(i)))) for i in range(3)]
    assert asked == ['/a/2.png']
    assert images[2].getpixel((0, 0)) == (255, 255, 255)
