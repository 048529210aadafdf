"""Drawing of an augmentation that `AugmentingDataPreprocessor` applies; it needs mmpretrain."""
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmcv.transforms import RandomFlip as StockFlip
from mmpretrain.datasets import transforms as stock

from vit_plugin.errors import UserError
from vit_plugin.registry import TRANSFORMS

from .augment import POINTWISE, draw
from .common import RAMP

Step = tuple[str, Any] | None  # an operation and its value; None does nothing


@TRANSFORMS.register_module()
class DrawAugmentation(BaseTransform):
    """Draws what other transforms do to an image, and leaves it to the device.

    A worker then reads and crops images only. What is drawn is what the transforms would do, from
    the same random numbers, except for the noise of erasing: its seed is drawn.
    ``results['augmentation']`` is a list of (operation, value) for `AugmentingDataPreprocessor`,
    which `vit_plugin.PackInputs` packs.

    Args:
        transforms: Configs of mmpretrain's or the plugin's ``RandomFlip``, ``RandAugment`` and
            ``RandomErasing``, in any order. ``RandomErasing`` fills with one colour or with normal
            noise, RandAugment's images that are moved are interpolated by ``'bicubic'``.

    Raises:
        ValueError: of a transform the device has no counterpart.
    """

    def __init__(self, transforms: Sequence[dict]) -> None:
        self.transforms = [TRANSFORMS.build(dict(config)) for config in transforms]
        for transform in self.transforms:
            check(transform)

    def transform(self, results: dict) -> dict:
        """Draw ``results['augmentation']`` for the image in ``results['img']``."""
        shape = results['img'].shape[:2]
        results['augmentation'] = [
            step for transform in self.transforms for step in draw_steps(transform, shape)]
        return results


def check(transform: Any) -> None:
    """Refuse what `draw_steps` does not know."""
    if isinstance(transform, stock.RandAugment):
        for operation in transform.transforms:
            if type(operation) not in (*POINTWISE, *DRAWS):
                raise UserError(f'DrawAugmentation has no counterpart on the device of '
                                f'{type(operation).__name__} in RandAugment')
            if getattr(operation, 'interpolation', 'bicubic') != 'bicubic':
                raise UserError(f"RandAugment's interpolation='{operation.interpolation}' must be "
                                "'bicubic' for DrawAugmentation: set it in hparams")
    elif isinstance(transform, stock.RandomErasing):
        if transform.mode == 'rand' and transform.fill_std is None:
            raise UserError("RandomErasing(mode='rand') needs fill_std for DrawAugmentation")
    elif not isinstance(transform, StockFlip):
        raise UserError(f'DrawAugmentation takes RandomFlip, RandAugment and RandomErasing, got '
                        f'{type(transform).__name__}: keep it in the pipeline itself')


def draw_steps(transform: Any, shape: tuple[int, int]) -> list[Step]:
    """Draw the steps of a transform for an image of this shape."""
    if isinstance(transform, StockFlip):
        direction = transform._choose_direction()
        return [direction and ('flip', direction)]
    if isinstance(transform, stock.RandomErasing):
        if transform.random_disable():
            return [None]
        box = transform.random_patch(*shape)
        std = (0, 0, 0) if transform.mode == 'const' else transform.fill_std
        seed = int(torch.randint(2**31, ()))
        return [('erase', (box, transform.fill_color, std, seed))]
    return [draw_operation(transform.transforms[i], shape)
            for i in transform.random_policy_indices()]


def draw_operation(operation: Any, shape: tuple[int, int]) -> Step:
    """An operation of RandAugment."""
    if type(operation) in POINTWISE:
        table = operation(dict(img=RAMP))['img']
        return None if table is RAMP else ('look_up', table.ravel())
    if operation.random_disable():
        return None
    name, value = DRAWS[type(operation)]
    return name, value(operation, shape)


def moving(matrix: Callable[[Any, tuple[int, int]], np.ndarray]) -> Callable:
    """The places (2, 3) in the source of an affine map's pixels, and the colour outside."""
    def value(operation: Any, shape: tuple[int, int]) -> tuple[np.ndarray, tuple]:
        fill = operation.pad_val
        fill = tuple(fill) if isinstance(fill, Sequence) else (fill, ) * 3
        return cv2.invertAffineTransform(matrix(operation, shape)), fill
    return value


def shear(operation: Any, shape: tuple[int, int]) -> np.ndarray:
    """(2, 3) matrix of mmcv's ``imshear``."""
    matrix = np.eye(2, 3)
    matrix[(0, 1) if operation.direction == 'horizontal' else (1, 0)] = draw(operation)
    return matrix


def translate(operation: Any, shape: tuple[int, int]) -> np.ndarray:
    """(2, 3) matrix of mmcv's ``imtranslate``."""
    matrix, axis = np.eye(2, 3), int(operation.direction == 'vertical')
    matrix[axis, 2] = shape[1 - axis] * draw(operation)
    return matrix


def rotate(operation: Any, shape: tuple[int, int]) -> np.ndarray:
    """(2, 3) matrix of mmcv's ``imrotate``."""
    angle = operation.random_magnitude() if operation.angle is None else operation.angle
    centre = operation.center or ((shape[1] - 1) / 2, (shape[0] - 1) / 2)
    return cv2.getRotationMatrix2D(centre, -operation.random_negative(angle), operation.scale)


def nothing(operation: Any, shape: tuple[int, int]) -> None:
    """No value is drawn."""


def factor(operation: Any, shape: tuple[int, int]) -> float:
    """How much of the image is kept."""
    return 1 + draw(operation)


DRAWS: dict[type, tuple[str, Callable]] = {
    stock.AutoContrast: ('auto_contrast', nothing), stock.Equalize: ('equalize', nothing),
    stock.Contrast: ('contrast', factor), stock.ColorTransform: ('color', factor),
    stock.Sharpness: ('sharpness', factor), stock.Shear: ('move', moving(shear)),
    stock.Translate: ('move', moving(translate)), stock.Rotate: ('move', moving(rotate)),
}
