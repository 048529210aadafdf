"""One page of what the demo left: tables, curves and pictures.

The page, report.html, opens without a network: styles and pictures are inside. Its text is in
the template of that name beside this file.
"""
import base64
import json
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader
from matplotlib import pyplot
from matplotlib.figure import Figure
from mmengine.config import Config

from vit_plugin.configs import set_data_root
from vit_plugin.doctor import machine
from vit_plugin.errors import UserError
from vit_plugin.files import CONFIGS, written_whole
from vit_plugin.pictures.drawing import save
from vit_plugin.pictures.kinds import draw
from vit_plugin.pictures.subject import PictureError, spread


@dataclass
class Picture:
    """A picture of a run's model, on ``images`` or on the data below ``data_root``."""

    kind: str
    config: str
    run: str
    images: str = ''
    data_root: str = ''
    count: int = 3


DIGITS, SCENES = 'data/val/*/*.png', 'scenes/coco/val/*.png'
PICTURES = {
    'attention': Picture('attention', 'deit_soft', 'deit_soft_seed0', DIGITS),
    'gradcam': Picture('gradcam', 'deit_soft', 'deit_soft_seed0', DIGITS),
    'detections': Picture('predictions', 'detector', 'detector_pretrained',
                          data_root='scenes/coco', count=6),
    'segmentations': Picture('predictions', 'segmentor', 'segmentor_pretrained',
                             data_root='scenes/ade', count=6),
    'windows': Picture('windows', 'detector', 'detector_pretrained', SCENES, count=1),
    'pyramid': Picture('pyramid', 'detector', 'detector_pretrained', SCENES, count=1),
}


def write_report(work_dir: Path) -> Path:
    """Write ``work_dir``/report.html from the tables and pictures in ``work_dir``; its path.

    Pictures of models are drawn here, from the checkpoints of the runs; what the toolkits say
    meanwhile goes to report.log. What is not there is named as missing.

    Raises:
        UserError: there is no such folder.
    """
    if not work_dir.is_dir():
        raise UserError(f"there is no folder '{work_dir}': run the other parts of the demo first")
    pyplot.switch_backend('Agg')
    problems = {}
    with (work_dir / 'report.log').open('w') as log, redirect_stdout(log), redirect_stderr(log):
        for name, picture in PICTURES.items():
            try:
                save(draw_picture(picture, work_dir), work_dir / f'{name}.png')
            except PictureError as error:
                problems[name] = f'could not be drawn: {error}'.removesuffix('.')
    results = {}
    for name in ('results', 'dense', 'teachers'):
        table = work_dir / f'{name}.json'
        results[name] = json.loads(table.read_text()) if table.is_file() else None
    images = {path.stem: base64.b64encode(path.read_bytes()).decode()
              for path in work_dir.glob('*.png') if path.stem not in problems}
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
    page = environment.get_template('report.html').render(
        machine=machine(), time=f'{datetime.now():%Y-%m-%d %H:%M}', results=results,
        images=images, problems=problems)
    with written_whole(work_dir / 'report.html') as file:
        file.write(page.encode())
    return work_dir / 'report.html'


def draw_picture(picture: Picture, work_dir: Path) -> Figure:
    """A picture of a run's model on images, or data, spread evenly over the demo's."""
    cfg = Config.fromfile(CONFIGS / f'quickstart/{picture.config}.py')
    chosen: list[str] = []
    if picture.data_root:
        set_data_root(cfg, str(work_dir / picture.data_root))
    else:
        images = sorted(work_dir.glob(picture.images))
        if not images:
            raise PictureError(f'there are no images {work_dir / picture.images}')
        chosen = [str(images[i]) for i in spread(picture.count, len(images))]
    return draw(picture.kind, cfg, picture.config, work_dir / picture.run / 'final.pth', chosen,
                picture.count)
