"""A COCO file, how it is read, and how predictions are evaluated with it."""
import json
from pathlib import Path
from typing import Any

import torch
from mmdet.evaluation import CocoMetric
from mmdet.registry import DATASETS
from PIL import Image
from pycocotools import mask as masks

CLASSES = ('grey', 'white')
Content = dict[str, Any]
# 30x30, a triangle of half its box of 40x40, and two parts: their areas lie in other ranges of
# pycocotools (32² and 96²) than those of their boxes.
POLYGONS = [[[5, 5, 35, 5, 35, 35, 5, 35]], [[10, 10, 50, 10, 10, 50]],
            [[4, 8, 24, 8, 24, 28, 4, 28], [40, 40, 60, 40, 60, 60, 40, 60]]]
BOXES = [[5, 5, 30, 30], [10, 10, 40, 40], [4, 8, 56, 52]]
AREAS = [900, 800, 800]


def whole_content(folder: Path) -> Content:
    """A file with everything; its images lie beside it."""
    images, annotations = [], []
    for i, (polygons, box, area) in enumerate(zip(POLYGONS, BOXES, AREAS)):
        height, width = 64 + i, 80
        Image.new('RGB', (width, height)).save(folder / f'{i}.png')
        images.append(dict(id=i, file_name=f'{i}.png', height=height, width=width))
        annotations.append(dict(id=i + 1, image_id=i, category_id=1 + i % 2, bbox=box, area=area,
                                iscrowd=0, segmentation=polygons))
    return dict(images=images, annotations=annotations,
                categories=[dict(id=i + 1, name=name) for i, name in enumerate(CLASSES)])


def write(content: Content, folder: Path, name: str = 'changed.json') -> str:
    (folder / name).write_text(json.dumps(content))
    return str(folder / name)


def read(content: Content, folder: Path, **options: Any) -> list[dict]:
    dataset = DATASETS.build(dict(dict(
        type='vit_plugin.CocoDataset', data_root=str(folder), ann_file=write(content, folder),
        data_prefix=dict(img=''), metainfo=dict(classes=CLASSES), pipeline=[],
        serialize_data=False), **options))
    return dataset.data_list


def evaluate(metric: CocoMetric, whole: Content, moved: float = 5.) -> dict[str, float]:
    """Metrics of predictions that are the truth, but for the boxes' first corner."""
    metric.dataset_meta = dict(classes=CLASSES)
    for image, annotation in zip(whole['images'], whole['annotations']):
        size = image['height'], image['width']
        x, y, width, height = annotation['bbox']
        polygons = masks.frPyObjects(annotation['segmentation'], *size)
        box = [x + moved, y, x + width, y + height]
        metric.process({}, [dict(img_id=image['id'], ori_shape=size, pred_instances=dict(
            bboxes=torch.tensor([box], dtype=torch.float32), scores=torch.tensor([0.9]),
            labels=torch.tensor([annotation['category_id'] - 1]),
            masks=torch.from_numpy(masks.decode(masks.merge(polygons))[None].astype(bool))))])
    return metric.compute_metrics(metric.results)
