"""Parts of all pictures: grids of axes, heat maps over images, titles."""
from pathlib import Path

import numpy as np
from matplotlib import colormaps, pyplot
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from torch import Tensor

from .subject import Subject, View, short_path

# Told apart by hue, not by brightness, which is the image's: without turbo's dark ends.
HEAT = ListedColormap(colormaps['turbo'](np.linspace(0.08, 0.9, 256)))
# Where 1 is an even share, the least upper end of the colours, so that even shares look even.
TWICE_EVEN = 2.


def grid(rows: int, columns: int, width: float = 2.6, height: float = 2.6
         ) -> tuple[Figure, np.ndarray]:
    """A figure and its (rows, columns) axes without ticks; sizes in inches of one of them.

    `finish` hides those on which nothing is drawn.
    """
    figure, axes = pyplot.subplots(rows, columns, squeeze=False, layout='constrained',
                                   figsize=(max(width * columns, 7), height * rows + 1))
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    return figure, axes


def show_heat(axis: Axes, pixels: np.ndarray, heat: Tensor | np.ndarray, cell: tuple[int, int],
              peak: float) -> None:
    """Draw a map (h, w) of ``cell`` (height, width) pixels each over a grey image (H, W, 3).

    Colours go from 0 to ``peak``, or to the map's maximum where that is larger.
    """
    heat = np.asarray(heat)
    extent = (-.5, heat.shape[1] * cell[1] - .5, heat.shape[0] * cell[0] - .5, -.5)
    # The image keeps to the brighter half of greys, so that colours show on black, too.
    axis.imshow(pixels.mean(-1), cmap='gray', vmin=-255, vmax=255)
    drawn = axis.imshow(heat, cmap=HEAT, alpha=0.55, extent=extent, vmin=0,
                        vmax=max(float(heat.max()), peak))
    axis.set(xlim=(-.5, pixels.shape[1] - .5), ylim=(pixels.shape[0] - .5, -.5))
    opaque = ScalarMappable(drawn.norm, HEAT)
    bar = axis.figure.colorbar(opaque, ax=axis, fraction=0.046, pad=0.02)
    bar.ax.tick_params(labelsize=7)


def show_image(axis: Axes, view: View) -> None:
    """Draw an image with its name."""
    axis.imshow(view.pixels)
    axis.set_title(short_path(view.path), fontsize=9)


def finish(figure: Figure, title: str, caption: str, subject: Subject | None = None) -> Figure:
    """Put what is shown above, and how to read it below; hide empty axes."""
    for axis in figure.axes:
        if not axis.has_data():
            axis.axis('off')
    source = f'\n{subject.name}, {subject.weights}' if subject else ''
    figure.suptitle(title + source, fontsize=11)
    figure.supxlabel(caption, fontsize=9)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure to a file and forget it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
