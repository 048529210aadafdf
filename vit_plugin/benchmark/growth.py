"""Growth of inference's time and memory with the image, the batch and the window."""
import math
import statistics
from functools import partial
from typing import NamedTuple

import torch

from vit_plugin.errors import UserError

from .measure import Step, in_turns, peak_bytes, seconds
from .steps import Bench

SIDES = (224, 320, 448, 640, 896, 1120, 1600)
BATCHES = (1, 2, 4, 8, 16, 32)
WINDOWS = (7, 12, 16)
PEERS = ('timm', 'torchvision')


class Point(NamedTuple):
    """One measurement of all libraries: its title, how much more it is, and its steps."""

    title: str
    amount: float
    steps: dict[str, Step]


class Row(NamedTuple):
    """Figures of a point, or the exponents of their growth, by library."""

    title: str
    seconds: dict[str, float]
    bytes: dict[str, float]


def check(case: str, work: str, size: tuple[int, int], batch: int) -> None:
    """Raise `UserError` for a case of a single point, which has no exponent."""
    if work == 'grow-size' and size[0] < SIDES[1]:
        raise UserError(f"'{case}' must have a SIZE of {SIDES[1]} or more: the first sizes are "
                        f'{SIDES[0]} and {SIDES[1]}')
    if work == 'grow-batch' and batch < BATCHES[1]:
        raise UserError(f"'{case}' must have a BATCH of {BATCHES[1]} or more")


def points(bench: Bench, work: str, name: str, size: tuple[int, int], batch: int
           ) -> list[Point]:
    """Inference at square images up to ``size``, with up to ``batch`` images, or in windows.

    Amounts are pixels, images and tokens of a window.
    """
    if work == 'grow-size':
        return [Point(f'{side} x {side}', side**2, steps(bench, name, (side, side), batch))
                for side in SIDES if side <= size[0]]
    if work == 'grow-batch':
        return [Point(f'{images} images', images, steps(bench, name, size, images))
                for images in BATCHES if images <= batch]
    return [Point(f'{side} x {side}', side**2, steps(bench, name, size, batch, window=side))
            for side in WINDOWS]


def steps(bench: Bench, name: str, size: tuple[int, int], batch: int, **settings: int
          ) -> dict[str, Step]:
    """Inference by each library."""
    x = torch.randn(batch, 3, *size, device=bench.device)
    return {library: bench.forward(model.eval(), x)
            for library, model in bench.models(name, size, **settings).items()}


def measure_growth(bench: Bench, found: list[Point], rounds: int) -> tuple[list[Row], Row]:
    """Medians of the time and the most memory at each point, and the exponents of both.

    An exponent is the slope of the logarithms over that of the amount: 1 is linear growth.
    """
    rows = []
    for point in found:
        taken = in_turns(point.steps, partial(seconds, device=bench.device), rounds)
        rows.append(Row(
            point.title,
            {library: statistics.median(values) for library, values in taken.items()},
            {library: peak_bytes(step, bench.device) for library, step in point.steps.items()}))
    amounts = [point.amount for point in found]
    return rows, Row('exponent', exponents(amounts, [row.seconds for row in rows]),
                     exponents(amounts, [row.bytes for row in rows]))


def exponents(amounts: list[float], figures: list[dict[str, float]]) -> dict[str, float]:
    """The exponent of each library's figures."""
    found = {}
    for library in figures[0]:
        values = [figure[library] for figure in figures]
        found[library] = exponent(amounts, values)
    return found


def exponent(amounts: list[float], values: list[float]) -> float:
    """The p of ``values = c * amounts ** p``, by least squares of the logarithms."""
    line = statistics.linear_regression([*map(math.log, amounts)], [*map(math.log, values)])
    return line.slope
