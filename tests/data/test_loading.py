"""Images of every mode come out as OpenCV reads them, or are refused by name."""
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from mmengine.config import Config
from mmpretrain.registry import DATASETS
from PIL import Image

from tests.conftest import ROOT
from vit_plugin.data.loading import LoadImage
from vit_plugin.errors import UserError

SIZE = (40, 48)  # height, width
RAMP = np.tile(np.linspace(0, 65535, SIZE[1]).astype(np.uint16), (SIZE[0], 1))
NOISE = np.random.default_rng(0).integers(0, 256, (*SIZE, 4)).astype(np.uint8)
RGB = Image.fromarray(NOISE[..., :3])
PALETTE = Image.fromarray(NOISE[..., :3]).quantize(40)
TURNED = Image.Exif()
TURNED[0x0112] = 6

# File -> how it is written.
READ: dict[str, Callable[[Path], object]] = {
    '16-bit.png': lambda path: Image.fromarray(RAMP).save(path),
    '16-bit.tif': lambda path: Image.fromarray(RAMP).save(path),
    '16-bit.jp2': lambda path: Image.fromarray(RAMP).save(path),
    '16-bit.pgm': lambda path: Image.fromarray(RAMP).save(path),
    '16-bit-turned.png': lambda path: Image.fromarray(RAMP).save(path, exif=TURNED),
    '16-bit-colours.png': lambda path: cv2.imwrite(str(path), NOISE[..., :3] * np.uint16(257)),
    'bits.png': lambda path: Image.fromarray(RAMP > 30000).save(path),
    'bits-fax.tif': lambda path: Image.fromarray(RAMP > 30000).save(path, compression='group4'),
    'cmyk.jpg': lambda path: Image.fromarray(NOISE, 'CMYK').resize(SIZE).save(path, quality=95),
    'cmyk.tif': lambda path: Image.fromarray(NOISE, 'CMYK').save(path),
    'lab.tif': lambda path: RGB.convert('LAB').save(path),
    'grey-alpha.png': lambda path: Image.fromarray(NOISE[..., :2], 'LA').save(path),
    'grey-alpha.tif': lambda path: Image.fromarray(NOISE[..., :2], 'LA').save(path),
    'palette.png': lambda path: PALETTE.save(path, transparency=bytes(range(40))),
    'palette.gif': lambda path: PALETTE.save(path, transparency=3),
    **{f'turned-{i}.jpg': lambda path, i=i: RGB.save(path, exif=turned(i)) for i in range(1, 9)},
    'turned.png': lambda path: RGB.save(path, exif=TURNED),
    'turned.webp': lambda path: RGB.save(path, exif=TURNED, lossless=True),
}
REFUSED = {
    'F.tif': lambda path: Image.fromarray(RAMP.astype(np.float32)).save(path),
    'I.tif': lambda path: Image.fromarray(RAMP.astype(np.int32)).save(path),
    'F.pfm': lambda path: Image.fromarray(RAMP.astype(np.float32)).save(path),
}


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.filterwarnings('ignore:.*mode:DeprecationWarning')
@pytest.mark.parametrize('name', READ)
def test_every_mode_comes_out_as_stock_reads_it(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    READ[name](path)
    if not cv2.haveImageReader(str(path)):  # of GIF, OpenCV 4.11
        with pytest.raises(ValueError, match=rf"{name}'.*mode 'P', which OpenCV .* to PNG"):
            LoadImage()(dict(img_path=str(path)))
        return
    image = LoadImage()(dict(img_path=str(path)))['img']
    stock = LoadImageFromFile()(dict(img_path=str(path)))['img']
    if name == 'turned.webp' and cv2.__version__ < '4.12':  # leaves it as it lies
        stock = np.rot90(stock, -1)
    assert image.dtype == np.uint8
    np.testing.assert_allclose(image.astype(int), stock.astype(int), atol=1)


def test_a_16_bit_ramp_keeps_its_grey_levels(tmp_path: Path) -> None:
    """Pillow's own conversion leaves 2 of them, and makes 98 % of the image white."""
    Image.fromarray(RAMP).save(tmp_path / 'ramp.png')
    image = LoadImage()(dict(img_path=str(tmp_path / 'ramp.png')))['img']
    assert np.array_equal(image, np.stack([RAMP >> 8] * 3, -1))
    grey = LoadImage(color_type='grayscale')(dict(img_path=str(tmp_path / 'ramp.png')))['img']
    assert np.array_equal(grey, RAMP >> 8)


@pytest.mark.parametrize('name', REFUSED)
def test_what_opencv_does_not_read_is_refused_by_name(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    REFUSED[name](path)
    with pytest.raises(UserError, match=rf"{name}'.*mode '{name[0]}' \(32 bits a channel"):
        LoadImage()(dict(img_path=str(path)))


def test_what_mmcv_does_not_read_is_refused_by_name(tmp_path: Path) -> None:
    """mmcv's loading: an AssertionError, and OpenCV's of more than a million lines and columns."""
    (tmp_path / 'class').mkdir()
    REFUSED['I.tif'](tmp_path / 'class/a.tif')
    Image.new('1', (2**20 + 8, 8)).save(tmp_path / 'class/b.png')
    dataset = DATASETS.build(dict(type='vit_plugin.ImageFolder', data_root=str(tmp_path),
                                  pipeline=[dict(type='LoadImageFromFile')]))
    for i, name in enumerate('ab'):
        with pytest.raises(UserError, match=rf"cannot decode the image '.*{name}\.\w+' \("):
            dataset[i]


def test_truncated_16_bit_image_is_not_filled_up(tmp_path: Path) -> None:
    """OpenCV fills it with grey and says nothing."""
    path = tmp_path / 'half.png'
    Image.fromarray(NOISE[..., 0] * RAMP).save(path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ValueError, match=r"cannot decode the image '.*half\.png' \(OSError"):
        LoadImage()(dict(img_path=str(path)))


@pytest.mark.parametrize('load', [dict(type='vit_plugin.LoadImage'),
                                  dict(type='LoadImageFromFile', imdecode_backend='pillow')],
                         ids=['ours', 'stock'])
def test_an_image_over_pillows_limit_is_no_corrupt_one(
        load: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 500)  # errors above twice that
    (tmp_path / 'class').mkdir()
    RGB.save(tmp_path / 'class/large.png')
    dataset = DATASETS.build(dict(type='vit_plugin.ImageFolder', data_root=str(tmp_path),
                                  pipeline=[load]))
    with pytest.raises(ValueError, match=r"large\.png' has 1,920 pixels, more than the limit of "
                                         r'1,000 .*max_pixels=1920') as error:
        dataset[0]
    assert 'corrupt' not in str(error.value)


@pytest.mark.filterwarnings('ignore::PIL.Image.DecompressionBombWarning')
def test_max_pixels_allows_larger_images(tmp_path: Path,
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 500)
    RGB.save(tmp_path / 'large.png')
    image = LoadImage(max_pixels=1920)(dict(img_path=str(tmp_path / 'large.png')))['img']
    assert np.array_equal(image[..., ::-1], NOISE[..., :3])
    assert Image.MAX_IMAGE_PIXELS == 500
    with pytest.raises(ValueError, match='1,920 pixels, more than the limit of 1,919'):
        LoadImage(max_pixels=1919)(dict(img_path=str(tmp_path / 'large.png')))


def test_loaded_images_pass(tmp_path: Path) -> None:
    """The toolkits' inferencers load images themselves."""
    results = dict(img=NOISE, img_shape=SIZE, ori_shape=SIZE)
    assert LoadImage()(results) is results


def test_validation_loads_images_so() -> None:
    for path in sorted(ROOT.glob('configs/classification/*.py')):
        cfg = Config.fromfile(path)
        for loader in (cfg.val_dataloader, cfg.test_dataloader):
            assert loader.dataset.pipeline[0].type == 'vit_plugin.LoadImage'
