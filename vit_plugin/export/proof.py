"""Proof of an exported file: its answers beside those of the toolkit, at several sizes."""
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np

from vit_plugin.errors import UserError

from .answers import Answers, paste, toolkit_answers
from .runtimes import Run

TOLERANCE = 1e-3  # of scores and logits, relative to the largest
LABELS = 0.999  # share of pixels that must get the same label
PIXELS = 0.05  # between a box and its match
UNMATCHED = 0.02  # share of boxes that may lack one: they were near a threshold

Size = tuple[int, int]


class Compared(NamedTuple):
    """One size: the largest difference of each output, and whether all are small."""

    size: Size
    differences: dict[str, float]
    is_equal: bool


def other_sizes(size: Size) -> list[Size]:
    """Sizes to try beside the example's: odd ones, swapped, and one smaller than most windows."""
    height, width = size
    return [(width // 2 + 5, height // 3 + 10), (height + 3, width + 33), (19, 23)]


def resized(images: Sequence[np.ndarray], size: Size) -> np.ndarray:
    """RGB images (H, W, 3) of any sizes -> pixels (B, 3, H, W) of one size, in float32."""
    pixels = [cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR) for image in images]
    return np.stack(pixels).transpose(0, 3, 1, 2).astype(np.float32)


def prove(run: Run, model: Any, task: str, images: Sequence[np.ndarray],
          sizes: Sequence[Size]) -> list[Compared]:
    """Compare a file with its model at every size.

    Raises:
        UserError: the runtime fails at a size, or answers otherwise than the model.
    """
    results = []
    for size in sizes:
        pixels = resized(images, size)
        try:
            found = run(pixels)
        except Exception as error:  # each runtime has errors of its own
            reason = ' '.join(str(error).split())[:300]
            raise UserError(f'the exported model fails at images of {size[0]}x{size[1]}: {reason}. '
                            'Nothing was written') from error
        results.append(compare(size, found, toolkit_answers(model, task, pixels)))
    wrong = [result for result in results if not result.is_equal]
    if wrong:
        raise UserError('the exported model answers otherwise than the original: '
                        + '; '.join(map(line, wrong)) + '. Nothing was written')
    return results


def compare(size: Size, found: Answers, expected: Answers) -> Compared:
    """Compare the outputs that the file has."""
    if 'boxes' in found:
        return compare_boxes(size, found, expected)
    differences, is_equal = {}, True
    for name, values in found.items():
        if values.shape != expected[name].shape:
            raise UserError(f"the exported model's {name} are {values.shape} at {size}, where the "
                            f"original's are {expected[name].shape}. Nothing was written")
        if name == 'labels':
            differences[name] = float((values != expected[name]).mean())
            is_equal &= differences[name] <= 1 - LABELS
        else:
            differences[name] = float(np.abs(values - expected[name]).max())
            is_equal &= differences[name] <= TOLERANCE * max(1, np.abs(expected[name]).max())
    return Compared(size, differences, is_equal)


def compare_boxes(size: Size, found: Answers, expected: Answers) -> Compared:
    """Compare each box with its match: of the same label and score, in the same place.

    Rounding may move a score over ``score_thr``, or the overlap of two boxes over that of NMS, so
    a few may have none.
    """
    apart = np.abs(expected['boxes'][:, None] - found['boxes']).max(-1)  # (expected, found)
    scores = np.abs(expected['scores'][:, None] - found['scores'])
    is_match = ((apart <= PIXELS) & (scores <= TOLERANCE)
                & (expected['labels'][:, None] == found['labels']))
    unmatched = (~is_match.any(0)).sum() + (~is_match.any(1)).sum()
    differences = {'unmatched': float(unmatched / max(1, sum(is_match.shape)))}
    is_equal = differences['unmatched'] <= UNMATCHED
    row, column = is_match.nonzero()
    if len(row):
        differences |= {'boxes': float(apart[row, column].max()),
                        'scores': float(scores[row, column].max())}
    if 'masks' in found:
        masks = paste(found['masks'][column], found['boxes'][column], size)
        wrong = masks != expected['masks'][row]
        differences['masks'] = float(wrong.mean()) if wrong.size else 0.
        is_equal &= differences['masks'] <= 1 - LABELS
    return Compared(size, differences, bool(is_equal))


SAID = {'unmatched': '{:.2%} of boxes without a match', 'labels': '{:.2%} of labels differ',
        'masks': "{:.2%} of masks' pixels differ", 'boxes': 'boxes differ by {:.1e} pixels at most'}


def line(result: Compared) -> str:
    """``96x128: scores differ by 1.2e-07 at most``."""
    parts = [SAID.get(name, name + ' differ by {:.1e} at most').format(value)
             for name, value in result.differences.items()]
    return f'{result.size[0]}x{result.size[1]}: ' + ', '.join(parts)


def milliseconds(call: Callable[[], object], repeats: int = 5) -> float:
    """The median time of a call, after one that warms up."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times))
