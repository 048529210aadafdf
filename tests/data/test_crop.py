"""Crops decoded and resized in one step, against mmpretrain's of Pillow's images."""
from pathlib import Path

import numpy as np
import pytest
from mmpretrain.datasets.transforms import RandomResizedCrop
from PIL import Image

from tests.data.conftest import difference, jpeg, picture
from vit_plugin.data.crop import Box, LoadRandomResizedCrop
from vit_plugin.data.loading import LoadImage

ROTATED = Image.Exif()
ROTATED[0x0112] = 6


def compare(path: Path, scale: int | tuple[int, int], seeds: int = 20, **options: object
            ) -> list[float]:
    """Differences from mmpretrain's, with the same random numbers."""
    load = LoadImage()
    crop = RandomResizedCrop(scale, backend='pillow', **(dict(interpolation='bicubic') | options))
    ours = LoadRandomResizedCrop(scale, **options)
    differences = []
    for seed in range(seeds):
        np.random.seed(seed)
        expected = crop(load(dict(img_path=str(path))))
        following = np.random.random()
        np.random.seed(seed)
        found = ours(dict(img_path=str(path)))
        assert np.random.random() == following
        assert found['ori_shape'] == expected['ori_shape']
        assert found['img_shape'] == expected['img_shape'][:2]
        assert found['img'].dtype == np.uint8
        differences.append(difference(found['img'], expected['img']))
    return differences


@pytest.mark.parametrize(('name', 'save'), [
    ('plain.jpg', dict(quality=90)), ('progressive.jpg', dict(progressive=True)),
    ('rotated.jpg', dict(exif=ROTATED)), ('image.png', {}), ('png.jpg', dict(format='PNG'))])
@pytest.mark.parametrize('options', [
    {}, dict(interpolation='bilinear'), dict(crop_ratio_range=(0.5, 0.9)),
    dict(aspect_ratio_range=(3., 4.), max_attempts=1)], ids=str)
def test_boxes_and_pixels(name: str, save: dict, options: dict, decoder: str, tmp_path: Path
                          ) -> None:
    picture(160, 120).save(tmp_path / name, **save)
    assert max(compare(tmp_path / name, (48, 64), **options)) < 0.3


@pytest.mark.parametrize('mode', ['L', 'CMYK'])
def test_modes(mode: str, decoder: str, tmp_path: Path) -> None:
    picture(160, 120).convert(mode).save(tmp_path / 'image.jpg')
    assert max(compare(tmp_path / 'image.jpg', 64)) < 0.3


def test_large_images_are_reduced(decoder: str, tmp_path: Path) -> None:
    (tmp_path / 'image.jpg').write_bytes(jpeg(picture(900, 700)))
    assert max(compare(tmp_path / 'image.jpg', 64, crop_ratio_range=(0.2, 1.))) < 1.5
    choose = LoadRandomResizedCrop((64, 32)).choose_reduction
    sizes = ((255, 128), (256, 127), (256, 128), (512, 256), (2000, 512), (2000, 3000))
    assert [choose(Box(0, 0, *size)) for size in sizes] == [1, 1, 2, 4, 8, 8]


def test_decoders_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip('simplejpeg')
    path = tmp_path / 'image.jpg'
    path.write_bytes(jpeg(picture(700, 500)))
    ours = LoadRandomResizedCrop(64)
    images = []
    for _ in range(2):
        np.random.seed(0)
        images.append([ours(dict(img_path=str(path)))['img'] for _ in range(10)])
        monkeypatch.setattr('vit_plugin.data.crop.simplejpeg', None)
    assert np.array_equal(*images)


@pytest.mark.parametrize('length', [100, 3000])
def test_corrupt_files_are_named(length: int, decoder: str, tmp_path: Path,
                                 caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / 'image.jpg'
    path.write_bytes(jpeg(picture(160, 120))[:length])
    assert LoadRandomResizedCrop(32, max_corrupt=1)(dict(img_path=str(path))) is None
    with pytest.raises(ValueError, match=f"cannot decode the image '{path}' .* max_corrupt=0"):
        LoadRandomResizedCrop(32)(dict(img_path=str(path)))
    with pytest.raises(FileNotFoundError):
        LoadRandomResizedCrop(32)(dict(img_path=str(tmp_path / 'gone.jpg')))


def test_truncated_file_with_a_whole_thumbnail(decoder: str, tmp_path: Path) -> None:
    """The decoders fill it with grey; the mark of the thumbnail's end is not the image's."""
    content = jpeg(picture(160, 120), comment=jpeg(picture(16, 12)))
    (tmp_path / 'image.jpg').write_bytes(content[:-1000])
    assert LoadRandomResizedCrop(32, max_corrupt=1)(
        dict(img_path=str(tmp_path / 'image.jpg'))) is None


def test_content_and_pixels_from_elsewhere(tmp_path: Path) -> None:
    content = jpeg(picture(160, 120))
    np.random.seed(0)
    found = LoadRandomResizedCrop(32)(dict(img_path='shard.tar/image.jpg', img_bytes=content))
    assert 'img_bytes' not in found
    (tmp_path / 'image.jpg').write_bytes(content)
    np.random.seed(0)
    expected = LoadRandomResizedCrop(32)(dict(img_path=str(tmp_path / 'image.jpg')))
    assert np.array_equal(found['img'], expected['img'])
    image = LoadImage()(dict(img_path='image.jpg', img_bytes=content))
    assert 'img_bytes' not in image
    assert image['img'].shape == (120, 160, 3)
    np.random.seed(0)
    loaded = LoadRandomResizedCrop(32)(dict(img=image['img']))  # as by the toolkits' inferencers
    assert np.array_equal(loaded['img'], expected['img'])


def test_too_many_pixels(tmp_path: Path) -> None:
    picture(160, 120).save(tmp_path / 'image.jpg')
    with pytest.raises(ValueError, match=r'has 19,200 pixels, more than the limit of 19,000'):
        LoadRandomResizedCrop(32, max_pixels=19_000)(dict(img_path=str(tmp_path / 'image.jpg')))
    LoadRandomResizedCrop(32, max_pixels=19_200)(dict(img_path=str(tmp_path / 'image.jpg')))


def test_refused_arguments() -> None:
    with pytest.raises(ValueError, match=r"interpolation='area' must be 'bicubic' or 'bilinear'"):
        LoadRandomResizedCrop(32, interpolation='area')
    for options in (dict(color_type='grayscale'), dict(to_float32=True)):
        with pytest.raises(ValueError, match=r'gives 8 bits in colour'):
            LoadRandomResizedCrop(32, **options)
