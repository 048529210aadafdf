"""Parts of JPEG files have the pixels that the whole has."""
import io

import cv2  # noqa: F401, what the module under test reads with
import numpy as np
import pytest
from PIL import Image

from tests.data.conftest import difference, jpeg, picture
from vit_plugin.data.jpeg import decode, read_frame


def whole(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert('RGB'))[..., ::-1]


@pytest.mark.parametrize('options', [
    dict(subsampling='4:2:0'), dict(subsampling='4:2:2'), dict(subsampling='4:4:4'),
    dict(progressive=True), dict(restart_marker_rows=1)], ids=str)
@pytest.mark.parametrize('mode', ['RGB', 'L'])
def test_rows_equal_those_of_the_whole(options: dict, mode: str, decoder: str) -> None:
    content = jpeg(picture(203, 101).convert(mode), **options)
    frame = read_frame(content)
    assert frame[:2] == (101, 203)
    for rows in (1, 15, 16, 17, 50, 96, 101):
        part = decode(content, frame, rows)
        assert part.shape[0] >= rows
        assert np.array_equal(part[:rows], whole(content)[:rows])
    if decoder == 'simplejpeg' and 'progressive' not in options:
        assert decode(content, frame, 17).shape[0] <= 64  # or nothing would be saved


@pytest.mark.parametrize('reduction', [2, 4, 8])
def test_reduced_images_resize_to_the_same(reduction: int, decoder: str) -> None:
    content = jpeg(picture(1000, 600))
    frame = read_frame(content)
    size = (500 // reduction, 300 // reduction)
    expected = Image.fromarray(whole(content)).resize(size, Image.Resampling.BICUBIC)
    reduced = decode(content, frame, 600, reduction)
    assert reduced.shape == (600 // reduction, 1000 // reduction, 3)
    found = Image.fromarray(reduced).resize(size, Image.Resampling.BICUBIC)
    assert difference(np.asarray(found), np.asarray(expected)) < 1.5
    assert len(decode(content, frame, 100, reduction)) >= 100 // reduction


def test_what_needs_a_general_decoder() -> None:
    image = picture(64, 48)
    rotated = Image.Exif()
    rotated[0x0112] = 6
    upright = Image.Exif()
    upright[0x0112] = 1
    assert read_frame(jpeg(image, exif=rotated)) is None
    assert read_frame(jpeg(image, exif=upright)) is not None
    assert read_frame(jpeg(image.convert('CMYK'))) is None
    content = io.BytesIO()
    image.save(content, 'PNG')
    assert read_frame(content.getvalue()) is None
    content = jpeg(image, exif=upright, comment=b'\xff\xd9')
    assert read_frame(content) is not None
    for length in (0, 2, 20, len(content) // 2, len(content) - 2):
        assert read_frame(content[:length]) is None


def test_what_cannot_be_decoded(decoder: str) -> None:
    content = jpeg(picture(64, 48))
    broken = content[:200] + b'\xff\xd9'
    frame = read_frame(content)
    with pytest.raises(ValueError, match=r'.'):
        decode(broken, frame, 40)


@pytest.mark.filterwarnings('ignore:Corrupt EXIF data')
def test_damaged_headers_are_left_to_a_general_decoder() -> None:
    upright = Image.Exif()
    upright[0x0112] = 1
    content = jpeg(picture(64, 48), exif=upright)
    header = content.index(b'\xff\xda')
    generator = np.random.default_rng(0)
    for _ in range(2000):
        damaged = bytearray(content)
        for place in generator.integers(3, header, 3):
            damaged[place] = generator.integers(256)
        frame = read_frame(bytes(damaged))
        assert frame is None or frame.height > 0 < frame.width
    for empty in (b'\xff\xd8\xff\xc0\x00\x02', b'\xff\xd8\xff\xc0\x00\x08\x08\x00\x10\x00\x10\x03'):
        assert read_frame(empty + b'\xff\xda\x00\x02\xff\xd9') is None
