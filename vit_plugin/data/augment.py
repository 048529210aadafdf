"""mmpretrain's RandAugment, erasing and packing, with less work for a pixel; they need mmpretrain.

The same random numbers give the same operations, magnitudes and boxes as mmpretrain's.
"""
from collections.abc import Callable
from math import floor

import cv2
import mmcv
import numpy as np
import torch
from mmcv.transforms.utils import cache_randomness
from mmpretrain.datasets import transforms as stock
from mmpretrain.datasets.transforms.auto_augment import BaseAugTransform

from vit_plugin.registry import TRANSFORMS

from .pixels import RAMP, to_planes

BLUR = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], np.float32) / 13


@TRANSFORMS.register_module()
class RandAugment(stock.RandAugment):
    """mmpretrain's ``RandAugment``, with the same arguments, for images (H, W, 3) of 8 bits.

    Operations that map values to values are applied to a table of the 256 values, which is then
    looked up. Operations of other libraries are called as they are.
    """

    @cache_randomness
    def random_policy_indices(self) -> list[int]:
        """The operations to apply; NumPy's ``choice``, in mmpretrain, samples the same."""
        return list(np.random.randint(0, len(self.transforms), size=(self.num_policies,)))

    def transform(self, results: dict) -> dict | None:
        """Apply ``num_policies`` operations to ``results['img']``."""
        for i in self.random_policy_indices():
            operation = self.transforms[i]
            if type(operation) in POINTWISE:
                table = operation(dict(img=RAMP))['img']
                if table is not RAMP:
                    results['img'] = cv2.LUT(results['img'], table)
            elif type(operation) in OPERATIONS:
                if not operation.random_disable():
                    results['img'] = OPERATIONS[type(operation)](operation, results['img'])
            elif (results := operation(results)) is None:
                return None
        return results


@TRANSFORMS.register_module()
class RandomErasing(stock.RandomErasing):
    """mmpretrain's ``RandomErasing``; torch samples the normal noise of ``fill_std``."""

    def _fill_pixels(self, img: np.ndarray, top: int, left: int, h: int, w: int) -> np.ndarray:
        if self.mode != 'rand' or self.fill_std is None:
            return super()._fill_pixels(img, top, left, h, w)
        noise = torch.randn(h, w, 3)
        noise = noise.mul_(torch.tensor(self.fill_std)).add_(torch.tensor(self.fill_color))
        img[top:top + h, left:left + w] = noise.clamp_(0, 255).numpy()
        return img


@TRANSFORMS.register_module()
class PackInputs(stock.PackInputs):
    """mmpretrain's ``PackInputs``, with the channels taken apart by OpenCV."""

    @staticmethod
    def format_input(input_: object) -> object:
        if isinstance(input_, np.ndarray):
            input_ = to_planes(input_)
        return stock.PackInputs.format_input(input_)


def sample_magnitude(operation: BaseAugTransform) -> float:
    """The magnitude of an operation, with its random sign."""
    magnitude = operation.magnitude
    if magnitude is None:
        magnitude = operation.random_magnitude()
    return operation.random_negative(magnitude)


def auto_contrast(operation: BaseAugTransform, image: np.ndarray) -> np.ndarray:
    """Stretch each channel to 0 ... 255."""
    table = np.repeat(RAMP[..., None], 3, axis=2)
    for channel, values in enumerate(cv2.split(image)):
        low, high, *_ = cv2.minMaxLoc(values)
        if low < high:
            scale = 255 / (high - low)
            table[..., channel] = (RAMP * scale - low * scale).clip(0, 255)
    return cv2.LUT(image, table)


def equalize(operation: BaseAugTransform, image: np.ndarray) -> np.ndarray:
    """Give each channel a flat histogram, as Pillow does."""
    table = np.repeat(RAMP[..., None], 3, axis=2)
    for channel in range(3):
        counts = cv2.calcHist([image], [channel], None, [256], [0, 256]).ravel().astype(int)
        last = counts[counts.nonzero()[0][-1]]
        step = (counts.sum() - last) // 255
        if step:
            below = np.cumsum(counts) - counts
            table[..., channel] = ((below + step // 2) // step).clip(0, 255)
    return cv2.LUT(image, table)


def contrast(operation: BaseAugTransform, image: np.ndarray) -> np.ndarray:
    """Scale the distance of all values from the mean of the grey image."""
    factor = 1 + sample_magnitude(operation)
    mean = round(cv2.mean(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))[0])
    table = RAMP * np.float32(factor) + np.float32(mean * (1 - factor))
    return cv2.LUT(image, table.clip(0, 255).astype(np.uint8))


def color(operation: BaseAugTransform, image: np.ndarray) -> np.ndarray:
    """Scale the distance of all pixels from their grey."""
    factor = 1 + sample_magnitude(operation)
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    return cv2.addWeighted(image, factor, grey, 1 - factor, 0)


def sharpness(operation: BaseAugTransform, image: np.ndarray) -> np.ndarray:
    """Scale the distance of all pixels from the mean of their neighbours."""
    factor = 1 + sample_magnitude(operation)
    blurred = cv2.filter2D(image, -1, BLUR)
    return cv2.addWeighted(image, factor, blurred, 1 - factor, -0.499)  # truncates, as Pillow does


def shift(operation: BaseAugTransform, image: np.ndarray) -> np.ndarray:
    """Shift along one axis: bicubic of four pixels, where an affine map takes sixteen."""
    size = image.shape[operation.direction == 'horizontal']
    offset = size * sample_magnitude(operation)
    if operation.interpolation != 'bicubic':
        return mmcv.imtranslate(image, offset, operation.direction, operation.pad_val,
                                operation.interpolation)
    start = round(-32 * offset) / 32  # OpenCV's affine maps have such steps, too
    first = floor(start) - 1  # of the four pixels for the first one
    before, after = max(0, -first), max(0, first + 3)
    part = slice(first + before, first + before + size)
    kernel = cubic_weights(start % 1)
    if operation.direction == 'horizontal':
        image = cv2.copyMakeBorder(image, 0, 0, before, after, cv2.BORDER_CONSTANT,
                                   value=operation.pad_val)
        return cv2.filter2D(image, -1, kernel, anchor=(0, 0))[:, part]
    image = cv2.copyMakeBorder(image, before, after, 0, 0, cv2.BORDER_CONSTANT,
                               value=operation.pad_val)
    return cv2.filter2D(image, -1, kernel.T, anchor=(0, 0))[part]


def cubic_weights(x: float) -> np.ndarray:
    """(1, 4) weights of the pixels at -1, 0, 1, 2 for a place 0 <= x < 1, with OpenCV's a=-0.75."""
    near, far = np.array([x, 1 - x]), np.array([1 + x, 2 - x])
    near = (1.25 * near - 2.25) * near**2 + 1
    far = -0.75 * (((far - 5) * far + 8) * far - 4)
    return np.array([[far[0], near[0], near[1], far[1]]], np.float32)


POINTWISE = (stock.Invert, stock.Posterize, stock.Solarize, stock.SolarizeAdd, stock.Brightness)
OPERATIONS: dict[type, Callable[[BaseAugTransform, np.ndarray], np.ndarray]] = {
    stock.AutoContrast: auto_contrast, stock.Equalize: equalize, stock.Contrast: contrast,
    stock.ColorTransform: color, stock.Sharpness: sharpness, stock.Translate: shift,
}
