"""Curves of what mmengine logged."""
import json
from pathlib import Path

import numpy as np
import pytest

from vit_plugin.pictures import curves
from vit_plugin.pictures.subject import PictureError

pytestmark = pytest.mark.usefixtures('no_window')


def write_log(path: Path, *entries: dict) -> None:
    path.mkdir(parents=True)
    (path / 'scalars.json').write_text('\n'.join(map(json.dumps, entries)) + '\n{"loss": 0.1, "st')


def test_curves_of_a_resumed_run_and_of_epochs(tmp_path: Path) -> None:
    def step(iteration: int, loss: float) -> dict:
        return dict(step=iteration, loss=loss, loss_cls=loss / 2, lr=0.1, agreement=0.5)

    resumed = tmp_path / 'resumed'
    write_log(resumed / '1/vis_data', step(10, 3.), step(20, 2.), {'mIoU': 40., 'step': 20},
              step(30, 9.))
    write_log(resumed / '2/vis_data', step(30, 1.), {'mIoU': 50., 'step': 30})
    epochs = tmp_path / 'epochs'
    write_log(epochs / '1/vis_data', step(25, 3.), {'coco/bbox_mAP': 0.4, 'step': 1},
              step(50, 2.), {'coco/bbox_mAP': 0.6, 'step': 2})
    assert curves.read_curves(resumed)['loss'] == [(10, 3.), (20, 2.), (30, 1.)]
    assert curves.read_curves(resumed)['mIoU'] == [(20, 40.), (30, 50.)]
    assert curves.read_curves(epochs)['coco/bbox_mAP'] == [(25, 40.), (50, 60.)]

    figure = curves.draw([str(resumed)])
    lines = {axis.get_title(): [line.get_label() for line in axis.lines] for axis in figure.axes}
    assert lines['loss in training'] == ['loss', 'loss_cls']
    assert set(lines) == {'loss in training', 'mIoU in validation (%)', 'learning rate',
                          'agreement with the teacher (%)'}
    both = curves.draw([str(resumed), str(epochs)])
    assert [line.get_label() for line in both.axes[0].lines] == ['resumed', 'epochs']
    np.testing.assert_array_equal(both.axes[1].lines[1].get_xydata(), [(25, 40.), (50, 60.)])


@pytest.mark.parametrize(('folders', 'labels'), [
    (['m1/swin', 'm2/swin'], ['m1/swin', 'm2/swin']),
    (['m1/swin', 'm2/swin/', 'm2/deit'], ['m1/swin', 'm2/swin', 'deit']),
    (['a/m/swin', 'b/m/swin', 'b/n/swin'], ['a/m/swin', 'b/m/swin', 'n/swin'])])
def test_curves_of_runs_of_one_name(folders: list[str], labels: list[str], tmp_path: Path) -> None:
    for i, folder in enumerate(folders):
        write_log(tmp_path / folder / '1/vis_data', dict(step=10, loss=float(i)))
    axis, = curves.draw([f'{tmp_path}/{folder}' for folder in folders]).axes
    assert [(line.get_label(), line.get_ydata()[0]) for line in axis.lines] == [
        (label, i) for i, label in enumerate(labels)]
    with pytest.raises(PictureError, match=f"'{tmp_path}/{folders[0]}' is given twice"):
        curves.draw([f'{tmp_path}/{folders[0]}', f'{tmp_path}/x/../{folders[0]}/'])


def test_curves_without_known_numbers(tmp_path: Path) -> None:
    write_log(tmp_path / 'a/1/vis_data', dict(step=10, PSNR=30., time=0.1))
    write_log(tmp_path / 'b/1/vis_data', dict(step=10, loss=2.))
    for runs in (['a'], ['b', 'a']):
        with pytest.raises(PictureError, match=r"/a'.*logged: step, PSNR, time"):
            curves.draw([str(tmp_path / run) for run in runs])
