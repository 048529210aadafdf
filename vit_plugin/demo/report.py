"""Put what the quickstart leaves behind on one page: tables, curves and pictures, as a file.

The page, report.html, opens without a network: styles and pictures are inside.
"""
import base64
import json
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import datetime
from html import escape
from pathlib import Path

from matplotlib import pyplot
from mmengine.config import Config

from vit_plugin.cli.visualize import draw
from vit_plugin.configs import set_data_root
from vit_plugin.doctor import machine
from vit_plugin.errors import UserError
from vit_plugin.files import CONFIGS
from vit_plugin.pictures.drawing import save
from vit_plugin.pictures.subject import PictureError, spread

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       color: #222; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 3rem; border-bottom: 1px solid #ccc; }
table { border-collapse: collapse; margin: 1rem 0; } th, td { padding: .3rem .8rem;
        border-bottom: 1px solid #ddd; text-align: left; } th { background: #f4f4f4; }
img { max-width: 100%; } code { font-size: .8rem; word-break: break-all; }
.missing { color: #a33; }
"""


@dataclass
class Picture:
    """One picture of the report, and how it is made if it is not there yet."""

    file: str
    title: str
    text: str
    kind: str = ''
    config: str = ''
    run: str = ''
    images: str = ''
    count: int = 3
    data_root: str = ''


@dataclass
class Section:
    """One task of the demo."""

    title: str
    text: str
    table: str
    pictures: tuple[Picture, ...] = ()
    optional: bool = False  # left out where its table is not there


DIGITS, SCENES = 'data/val/*/*.png', 'scenes/coco/val/*.png'
DEIT = ('deit_soft', 'deit_soft_seed0')
DETECTOR, SEGMENTOR = ('detector', 'detector_pretrained'), ('segmentor', 'segmentor_pretrained')

SECTIONS = (
    Section(
        'Classification: does a teacher help?',
        'The same small DeiT learns ten digits from few labelled images: from the labels alone, '
        'and also from a ConvNet teacher, which saw more images. Compare the accuracies of the '
        'three students; ± is the standard deviation over the seeds, and a difference smaller '
        'than it may be chance.',
        'results.md', (
            Picture('curves.png', 'Accuracy during training',
                    'Accuracy on validation images, which no model was trained on. One line for '
                    'each seed: where the lines of two students do not overlap, one is better '
                    'whatever the seed.'),
            Picture('attention.png', 'Where the DeiT looks',
                    'DeiT cuts an image into patches, which exchange information by attention. '
                    'The class token (trained on labels) and the distillation token (trained on '
                    'the teacher) collect what the head reads. Red patches get more attention '
                    'than the average patch, which has 1. In a well trained model most of them '
                    'lie on the digit.',
                    'attention', *DEIT, DIGITS),
            Picture('gradcam.png', 'What speaks for a class',
                    'Grad-CAM marks the places whose features raise the score of a class, for '
                    'the two likeliest classes of each image. A good model points at the strokes '
                    'in which the two classes differ.', 'gradcam', *DEIT, DIGITS))),
    Section(
        'Detection and segmentation: does pretraining help?',
        'A Swin that learnt single digits becomes the backbone of a Mask R-CNN, which finds and '
        'outlines digits in scenes, and of a UPerNet, which labels every pixel. Each was also '
        'trained from random weights for equally long: the difference is what pretraining is '
        'worth here. AP is the average precision of boxes or masks (AP50 counts a box as right '
        'from half an overlap), mIoU the mean overlap of the label maps.',
        'dense.md', (
            Picture('detections.png', 'What the detector finds',
                    'Ground truth and what was found, for validation scenes made of digits that '
                    'no model was trained on. The tint is the mask that goes with the box.',
                    'predictions', *DETECTOR, count=6, data_root='scenes/coco'),
            Picture('segmentations.png', 'What the segmentor predicts',
                    'Scenes, their label maps and those predicted: which digit, or background.',
                    'predictions', *SEGMENTOR, count=6, data_root='scenes/ade'),
            Picture('windows.png', 'Where the Swin looks',
                    'Tokens of a Swin attend only to tokens of their own window (white lines). '
                    'Every other block shifts the windows, so that information crosses their '
                    'borders. From stage to stage tokens are merged, and a window covers more of '
                    'the scene.', 'windows', *DETECTOR, SCENES, count=1),
            Picture('pyramid.png', 'The feature pyramid',
                    'The maps of the four stages, and what the FPN makes of them for the detector. '
                    'Places with similar colours have similar features: fine maps show strokes, '
                    'coarse ones whole digits.', 'pyramid', *DETECTOR, SCENES, count=1))),
    Section(
        'Features, larger detectors, larger segmentors: what do they teach?',
        'A Swin learns what a ConvNet sees in digits without labels, then 100 labels; a small '
        'detector and a small segmentor learn from the larger ones as well. Beside each stands the '
        'same student after as many steps without a teacher.',
        'teachers.md', optional=True),
)


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
    with (work_dir / 'report.log').open('w') as log, redirect_stdout(log), redirect_stderr(log):
        body = '\n'.join(section_html(section, work_dir) for section in SECTIONS
                         if not section.optional or (work_dir / section.table).is_file())
    path = work_dir / 'report.html'
    path.write_text(
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<title>vit_plugin quickstart</title>\n<style>{STYLE}</style>\n</head>\n<body>\n'
        f'<h1>vit_plugin quickstart</h1>\n<p>{escape(machine())}; '
        f'{datetime.now():%Y-%m-%d %H:%M}</p>\n{body}\n'
        f'<h2>Commands</h2>\n{commands_html(work_dir)}\n</body>\n</html>\n', encoding='utf-8')
    return path


def section_html(section: Section, work_dir: Path) -> str:
    """The heading, the table and the pictures of a task."""
    table = work_dir / section.table
    parts = [f'<h2>{escape(section.title)}</h2>', f'<p>{escape(section.text)}</p>',
             table_html(table.read_text(encoding='utf-8')) if table.is_file()
             else missing(f'{section.table} is not there: the runs were not made or not finished')]
    for picture in section.pictures:
        parts += [f'<h3>{escape(picture.title)}</h3>', picture_html(picture, work_dir)]
    return '\n'.join(parts)


def picture_html(picture: Picture, work_dir: Path) -> str:
    """A picture as data in the page, and how to read it."""
    path = work_dir / picture.file
    try:
        if picture.kind:
            make_picture(picture, work_dir)
        data = base64.b64encode(path.read_bytes()).decode()
    except PictureError as error:
        return missing(f'{picture.file} could not be drawn: {error}')
    except FileNotFoundError:
        return missing(f'{picture.file} is not there')
    return (f'<p>{escape(picture.text)}</p>\n<img alt="{escape(picture.title)}" '
            f'src="data:image/png;base64,{data}">')


def make_picture(picture: Picture, work_dir: Path) -> None:
    """Draw a picture of a run's model on images, or data, spread evenly over the demo's."""
    cfg = Config.fromfile(CONFIGS / f'quickstart/{picture.config}.py')
    chosen = None
    if picture.data_root:
        set_data_root(cfg, str(work_dir / picture.data_root))
    else:
        images = sorted(work_dir.glob(picture.images))
        if not images:
            raise PictureError(f'there are no images {work_dir / picture.images}')
        chosen = [str(images[i]) for i in spread(picture.count, len(images))]
    save(draw(picture.kind, cfg, picture.config, work_dir / picture.run / 'final.pth', chosen,
              picture.count), work_dir / picture.file)


def table_html(markdown: str) -> str:
    """The rows of a table in Markdown as a table; lines outside it become paragraphs."""
    rows: list[str] = []
    notes: list[str] = []
    for line in markdown.splitlines():
        cells = [cell.strip() for cell in line.strip().strip('|').split('|')]
        if not line.strip().startswith('|'):
            notes += [f'<p>{escape(line)}</p>'] if line.strip() else []
        elif set(''.join(cells)) - set('-: '):
            tag = 'td' if rows else 'th'
            rows.append(''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells))
    table = ''.join(f'<tr>{row}</tr>\n' for row in rows)
    return '\n'.join([f'<table>\n{table}</table>', *notes])


def commands_html(work_dir: Path) -> str:
    """The command of every run, so that each can be repeated alone."""
    rows: list[str] = []
    absent: list[str] = []
    for name in ('results.json', 'dense.json', 'teachers.json'):
        if not (work_dir / name).is_file():
            if name == 'teachers.json':  # of the part that only --full runs
                continue
            absent.append(missing(f'{name} is not there, which names the commands of its runs'))
            continue
        for run in json.loads((work_dir / name).read_text()):
            title = run.get('model') or run.get('work_dir', '')
            seed = f', seed {run["seed"]}' if 'seed' in run else ''
            rows.append(f'<tr><td>{escape(title + seed)}</td><td>{run.get("seconds", "")}</td>'
                        f'<td><code>python {escape(run["command"])}</code></td></tr>')
    table = ('<table>\n<tr><th>run</th><th>seconds</th><th>command</th></tr>\n'
             + '\n'.join(rows) + '\n</table>') if rows else ''
    return '\n'.join([table, *absent])


def missing(text: str) -> str:
    """A line that says what is not there."""
    return f'<p class="missing">Missing: {escape(text.removesuffix("."))}.</p>'
