"""Pretrain a Swin without labels by a teacher's features: this plugin beside lightly-train.

Usage: python tools/compare_lightly_train.py LIGHTLY_PYTHON [--epochs N] [--seeds N ...]

LIGHTLY_PYTHON is the Python of another environment: ``pip install lightly-train mmengine``, with
the torch of this one. The same file of teacher weights, the same student with the same weights at
the start, images, crops, batches, steps, AdamW, highest learning rate and shape of the schedule;
the losses are each library's own, and lightly-train mixes the images. The teacher is a small ViT
that learns the labels of the same digits first. Printed are the processor's time of a step (one
thread, loading included, median) and the accuracy of 20 nearest neighbours in the student's
features.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BATCH, SIZE, MEAN, STD = 64, 28, 33.3, 78.6
# 16 tokens of 192 numbers
TEACHER: dict[str, Any] = dict(img_size=SIZE, patch_size=7, depth=4, num_classes=0)
STUDENT: dict[str, Any] = dict(
    img_size=SIZE, window_size=4, out_indices=(1,), drop_path_rate=0.,
    arch=dict(embed_dims=48, depths=(2, 4), num_heads=(3, 6)))


def make_student(weights: Path) -> nn.Module:
    """The Swin with the weights of a file."""
    from vit_plugin.backbones import SwinTransformer
    student = SwinTransformer(**STUDENT)
    student.load_state_dict(torch.load(weights, weights_only=True))
    return student


class Clock(list):
    """A hook that notes the processor's time; lightly-train pickles it with the student."""

    def __call__(self, *_: Any) -> None:
        self.append(time.process_time())


def clock(student: nn.Module) -> list[float]:
    """The processor's time at every step, from now on."""
    times = Clock()
    student.register_forward_pre_hook(times)
    return times


def train_plugin(work: Path, out: Path, epochs: int, seed: int, lr: float) -> list[float]:
    """Train with `vit_plugin.Distilled`, as configs/_base_/unlabelled.py does."""
    from mmengine.registry import MODELS, DefaultScope
    from mmengine.runner import Runner
    DefaultScope.get_instance('comparison', scope_name='mmpretrain')
    pixels = dict(mean=[MEAN] * 3, std=[STD] * 3, to_rgb=True)
    model = MODELS.build(dict(
        type='vit_plugin.Distilled', student_type='ImageClassifier', labels=False,
        backbone=dict(type='vit_plugin.SwinTransformer', **STUDENT, init_cfg=dict(
            type='Pretrained', checkpoint=str(work / 'student.pth'))),
        data_preprocessor=dict(pixels),
        teacher=dict(type='timm.create_model', model_name='vit_tiny_patch16_224', **TEACHER,
                     data_preprocessor=dict(pixels), checkpoint=str(work / 'teacher.pth')),
        distillation=[dict(type='vit_plugin.SimilarityDistillation'),
                      dict(type='vit_plugin.LocalSimilarityDistillation', teacher='norm')]))
    times = clock(model.backbone)
    steps = epochs * (len(list((work / 'data/teacher').glob('*/*'))) // BATCH)
    Runner(
        model=model, work_dir=str(out), default_scope='mmpretrain', randomness=dict(seed=seed),
        train_dataloader=dict(
            batch_size=BATCH, num_workers=0, sampler=dict(type='InfiniteSampler', shuffle=True),
            dataset=dict(type='vit_plugin.ImageFolder', data_root=str(work / 'data/teacher'),
                         with_label=False, pipeline=[
                             dict(type='vit_plugin.LoadImage'),
                             dict(type='RandomResizedCrop', scale=SIZE, crop_ratio_range=(0.5, 1.)),
                             dict(type='PackInputs')])),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=steps),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=lr, weight_decay=0.04)),
        param_scheduler=[
            dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=steps // 10),
            dict(type='CosineAnnealingLR', by_epoch=False, begin=steps // 10, T_max=steps)],
        log_level='WARNING').train()
    torch.save(model.backbone.state_dict(), out / 'student.pth')
    return times


class Wrapped(nn.Module):
    """The Swin as lightly-train asks for a model of another library."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward_features(self, x: Tensor) -> dict[str, Tensor]:
        return dict(features=self.model(x)[-1])

    def forward_pool(self, x: dict[str, Tensor]) -> dict[str, Tensor]:
        return dict(pooled_features=x['features'].mean((2, 3), keepdim=True))

    def feature_dim(self) -> int:
        return 96

    def get_model(self) -> nn.Module:
        return self.model


def train_lightly(work: Path, out: Path, epochs: int, seed: int, lr: float) -> list[float]:
    """Train with lightly-train's default method of distillation."""
    import lightly_train
    student = make_student(work / 'student.pth')
    times = clock(student)
    scale = (BATCH / 1536) ** 0.5  # which it multiplies the learning rate by
    lightly_train.pretrain(
        out=str(out / 'lightly'), data=str(work / 'data/teacher'), model=Wrapped(student),
        method='distillation', epochs=epochs, batch_size=BATCH, num_workers=0, seed=seed,
        accelerator='cpu', devices=1, precision='32-true', overwrite=True,
        method_args=dict(teacher='timm/vit_tiny_patch16_224', teacher_args=TEACHER,
                         teacher_weights=str(work / 'teacher.pth')),
        optim_args=dict(lr=lr / scale, weight_decay=0.04),
        transform_args=dict(
            image_size=(SIZE, SIZE), random_resize=dict(min_scale=0.5), random_flip=None,
            color_jitter=None, random_gray_scale=None, gaussian_blur=None,
            normalize=dict(mean=(MEAN / 255,) * 3, std=(STD / 255,) * 3)))
    torch.save(student.state_dict(), out / 'student.pth')
    return times


def load_digits(work: Path, split: str) -> tuple[Tensor, Tensor]:
    """Normalised images (N, 3, 28, 28) and classes (N,)."""
    import numpy as np
    from PIL import Image
    files = sorted((work / 'data' / split).glob('*/*.png'))
    pixels = torch.from_numpy(np.stack([np.asarray(Image.open(file)) for file in files]))
    images = ((pixels.float() - MEAN) / STD)[:, None].expand(-1, 3, -1, -1)
    return images, torch.tensor([int(file.parent.name) for file in files])


def train_teacher(work: Path, steps: int) -> None:
    """A small ViT of timm learns the labels; its weights without the head go to a file."""
    from timm import create_model
    images, labels = load_digits(work, 'teacher')
    model = create_model('vit_tiny_patch16_224', **{**TEACHER, 'num_classes': 10})
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, steps)
    for _ in range(steps):
        chosen = torch.randint(len(images), (BATCH,))
        F.cross_entropy(model(images[chosen]), labels[chosen]).backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    weights = {key: value for key, value in model.state_dict().items() if 'head' not in key}
    torch.save(weights, work / 'teacher.pth')


@torch.no_grad()
def neighbours(model: nn.Module, work: Path) -> float:
    """Accuracy, in percent, of the 20 nearest training digits' majority on validation digits."""
    model.eval()
    features, classes = {}, {}
    for split in ('teacher', 'val'):
        images, classes[split] = load_digits(work, split)
        outputs = [model(chunk) for chunk in images.split(250)]
        maps = torch.cat([x[-1].mean((2, 3)) if isinstance(x, tuple) else x for x in outputs])
        features[split] = F.normalize(maps, dim=1)
    nearest = (features['val'] @ features['teacher'].T).topk(20).indices
    found = classes['teacher'][nearest].mode().values
    return 100 * (found == classes['val']).float().mean().item()


def prepare(work: Path, teacher_steps: int) -> None:
    """Images, teacher and student, and how good the last two are."""
    from mmengine.logging import MMLogger
    from timm import create_model

    from vit_plugin.backbones import SwinTransformer
    from vit_plugin.demo.digits import write_images
    MMLogger.get_instance('comparison', log_level='WARNING')
    work.mkdir(parents=True, exist_ok=True)
    write_images(work / 'data')
    torch.manual_seed(0)
    student = SwinTransformer(**STUDENT)
    student.init_weights()
    torch.save(student.state_dict(), work / 'student.pth')
    train_teacher(work, teacher_steps)
    teacher = create_model('vit_tiny_patch16_224', **TEACHER)
    teacher.load_state_dict(torch.load(work / 'teacher.pth', weights_only=True))
    print(f'20 nearest neighbours: {neighbours(teacher, work):.1f} % with the teacher, '
          f'{neighbours(student, work):.1f} % with the student before')


def main() -> None:
    """Prepare, train on both sides in turn, compare; with ``--side``, one training."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('lightly_python')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/lightly_train'))
    parser.add_argument('--epochs', type=int, default=8)
    parser.add_argument('--teacher-steps', type=int, default=400)
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--lr', type=float, nargs=2, default=(1e-3, 1e-3),
                        help='highest learning rate of the plugin, and of lightly-train')
    parser.add_argument('--side', choices=('plugin', 'lightly'), help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    work = args.work_dir.absolute()
    sides = {'plugin': (sys.executable, train_plugin),
             'lightly': (args.lightly_python, train_lightly)}
    if args.side:
        out = work / f'{args.side}_{args.seeds[0]}'
        times = sides[args.side][1](work, out, args.epochs, args.seeds[0],
                                    args.lr[args.side == 'lightly'])
        (out / 'times.json').write_text(json.dumps(times))
        return
    prepare(work, args.teacher_steps)
    root = str(Path(__file__).resolve().parents[1])
    environment = {**os.environ, 'PYTHONPATH': root, 'OMP_NUM_THREADS': '1'}
    found: dict[str, list] = {side: [] for side in sides}
    for seed in args.seeds:  # in turn, so that both have the same load of the machine
        for side, (python, _) in sides.items():
            out = work / f'{side}_{seed}'
            out.mkdir(exist_ok=True)
            with open(out / 'output.log', 'w') as log:
                subprocess.run(
                    [python, __file__, *sys.argv[1:], '--side', side, '--seeds', str(seed)],
                    check=True, env=environment, stdout=log, stderr=subprocess.STDOUT)
            times = json.loads((out / 'times.json').read_text())
            steps = [after - before for before, after in pairwise(times)]
            found[side].append((1000 * statistics.median(steps), len(times),
                                neighbours(make_student(out / 'student.pth'), work)))
    for side, rows in found.items():
        print(f'{side}: ' + '; '.join(f'{ms:.0f} ms a step ({steps} steps), {accuracy:.1f} %'
                                      for ms, steps, accuracy in rows))


if __name__ == '__main__':
    main()
