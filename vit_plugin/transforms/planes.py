"""What the fast transforms share; it needs OpenCV."""
import cv2
import numpy as np

# All values of a pixel, as a grey image.
RAMP = np.arange(256, dtype=np.uint8).reshape(1, 256)


def to_planes(image: np.ndarray) -> np.ndarray:
    """The same image (H, W, C), with each channel in one piece; the toolkits' packing needs that.

    They make such an image of (C, H, W) without a copy.
    """
    if image.ndim != 3 or image.dtype != np.uint8:
        return image
    planes = np.empty((image.shape[2], *image.shape[:2]), np.uint8)
    cv2.split(image, list(planes))
    return planes.transpose(1, 2, 0)
