"""Pictures that compress like photographs, as JPEG files."""
import io

import numpy as np
import pytest
from PIL import Image


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    """Smooth shapes of several sizes, edges and a little noise."""
    import cv2
    generator = np.random.default_rng(seed)
    pixels = np.zeros((height, width, 3), np.float32)
    for cells in (3, 8, 30):
        coarse = generator.uniform(0, 255, (cells, cells, 3)).astype(np.float32)
        pixels += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) / 3
    cv2.rectangle(pixels, (width // 5, height // 4), (width // 2, height // 2), (30, 80, 200), -1)
    cv2.circle(pixels, (2 * width // 3, height // 2), height // 5, (220, 190, 20), -1)
    pixels += generator.normal(0, 4, pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def jpeg(image: Image.Image, **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, 'JPEG', **(dict(quality=90) | options))
    return content.getvalue()


@pytest.fixture(params=['simplejpeg', 'opencv'])
def decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to decode; the first where it is installed."""
    if request.param == 'simplejpeg':
        pytest.importorskip('simplejpeg')
    else:
        monkeypatch.setattr('vit_plugin.data.crop.simplejpeg', None)
    return request.param


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """The mean absolute difference, of 255."""
    assert one.shape == other.shape
    return float(np.abs(one.astype(int) - other).mean())
