"""The teacher's scores on disk: computed by the first run, read by every later one."""
import json
import zlib
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_dist_info
from mmengine.logging import MessageHub
from torch import Tensor

from vit_plugin.errors import UserError
from vit_plugin.files import written_whole

from .finite import require_finite
from .frozen import Teacher
from .losses import ScoreDistillation

# How far the mean of an image's pixels may be from the stored one, which is in half precision.
TOLERANCE = 1e-2


class StoredScores:
    """(B, 3, H, W) -> the teacher's scores (B, num_classes), asking it once for each iteration.

    In a run whose pixels follow from seed, iteration and process alone (`SeedHook`,
    `SeededSampler`, `SeededDataset`), the teacher sees the same images in every run. So its scores
    are kept by iteration, in a file for each process: the ``distillation.top_k`` highest as half
    floats, and one for all others which preserves their share at the loss's temperature. What is
    read is what the run that stored it used. Fast knowledge distillation (FKD, Shen and Xing,
    https://arxiv.org/abs/2112.01528) and TinyViT (Wu et al., https://arxiv.org/abs/2207.10666,
    section 3.1) store top scores likewise.

    Args:
        folder: Where the files are, or will be.
        teacher: Computes what is not there.
        distillation: The loss that the scores are for.

    Raises:
        ValueError: what is stored is of another seed, teacher, batch size or kind of loss, or the
            pixels of an iteration are not those that the teacher saw.
        ValueError: the call is not part of a training run, or the scores hold NaN or infinity.
    """

    def __init__(self, folder: str | Path, teacher: Teacher,
                 distillation: ScoreDistillation) -> None:
        self.folder = Path(folder)
        self.teacher = teacher
        self.distillation = distillation
        self.records: np.memmap | None = None

    def __call__(self, x: Tensor) -> Tensor:
        iteration = run_info('iter')
        if self.records is None:
            self.records = self.open_records(len(x), iteration)
        record = self.records[iteration]
        means = x.float().mean((1, 2, 3)).cpu().numpy()
        if record['count'] == 0:
            self.write(record, self.teacher(x).float(), means)
        self.check_pixels(record, means, iteration)
        scores = self.read(record)
        require_finite(scores.isfinite(), iteration)
        return scores.to(x.device)

    def __deepcopy__(self, memo: dict) -> 'StoredScores':
        return self  # copies of the student share what is stored

    def open_records(self, batch: int, iteration: int) -> np.memmap:
        """The records of this process, one for each iteration of the run."""
        rank, world_size = get_dist_info()
        path = self.folder / f'rank{rank}of{world_size}.bin'
        num_classes = self.teacher.num_classes
        if num_classes is None or num_classes > 2**16:
            raise UserError(f'scores of {num_classes} classes cannot be stored: there must be '
                            f'{2**16} at most')
        top_k = min(self.distillation.top_k, num_classes)
        self.num_classes = num_classes
        check_header(path.with_suffix('.json'), dict(
            seed=run_info('seed'), batch=batch, num_classes=num_classes, top_k=top_k,
            teacher=checksum(self.teacher)))
        kind = np.dtype([('count', 'u4'), ('means', 'f2', batch),
                         ('classes', 'u2', (batch, top_k)),
                         # a decision is a class alone
                         ('scores', 'f2', (batch, top_k + 1 if top_k > 1 else 0))])
        size = max(run_info('max_iters'), iteration + 1) * kind.itemsize
        with open(path, 'ab') as file:
            if file.tell() < size:
                file.truncate(size)
        return np.memmap(path, kind, mode='r+')

    def write(self, record: Any, scores: Tensor, means: np.ndarray) -> None:
        """Store the scores (B, num_classes) of an iteration."""
        require_finite(scores.half().isfinite(), run_info('iter'))
        count, top_k = len(scores), record['classes'].shape[1]
        top, classes = scores.topk(top_k)
        record['means'][:count] = means
        record['classes'][:count] = classes.cpu().numpy()
        if top_k > 1:
            temperature = getattr(self.distillation, 'temperature', 1.)
            others = scores.scatter(1, classes, -torch.inf) / temperature
            number = max(self.num_classes - top_k, 1)
            others = temperature * (others.logsumexp(1, keepdim=True) - log(number))
            record['scores'][:count] = torch.cat((top, others), 1).cpu().numpy()
        record['count'] = count  # last: a record that a kill cut short does not count

    def read(self, record: Any) -> Tensor:
        """The scores (B, num_classes) of an iteration, as far as they are stored."""
        count, top_k = int(record['count']), record['classes'].shape[1]
        classes = torch.from_numpy(record['classes'][:count].astype(np.int64))
        if top_k == 1:
            return torch.zeros(count, self.num_classes).scatter_(1, classes, 1.)
        scores = torch.from_numpy(record['scores'][:count].astype(np.float32))
        others = scores[:, -1:].expand(-1, self.num_classes)
        return others.scatter(1, classes, scores[:, :-1])

    def check_pixels(self, record: Any, means: np.ndarray, iteration: int) -> None:
        """Raise `ValueError` unless the images are those that the scores are of."""
        stored = record['means'][:int(record['count'])].astype(np.float32)
        if stored.shape != means.shape or not np.allclose(stored, means, rtol=0, atol=TOLERANCE):
            raise UserError(
                f'the scores in {self.folder} are of other images: at iteration {iteration} the '
                f'means of their pixels were {stored[:3].round(2)} ..., now they are '
                f'{means[:3].round(2)} .... Data, augmentation and their order must be the same, '
                'which takes vit_plugin.SeedHook, SeededSampler and SeededDataset; or store these '
                'in another folder')


def run_info(key: str) -> int:
    """What mmengine's runner says of the present run."""
    value = MessageHub.get_current_instance().runtime_info.get(key)
    if value is None:
        raise UserError(f"stored scores belong to the iterations of a run, but '{key}' is "
                        'unknown: train with a Runner, or leave store= out of teacher=')
    return int(value)


def check_header(path: Path, header: dict[str, int]) -> None:
    """Write what the scores are of, or raise `ValueError` where it differs from what is there."""
    if path.is_file():
        stored = json.loads(path.read_text())
        if stored != header:
            differ = ', '.join(f'{key}={header[key]} (stored: {stored.get(key)})'
                               for key in header if stored.get(key) != header[key])
            raise UserError(f'the scores in {path.parent} are of another run: {differ}. Make them '
                            "equal (the seed is the config's randomness=dict(seed=...)), or "
                            'store these in another folder')
        return
    with written_whole(path) as file:
        file.write(json.dumps(header).encode())


def checksum(teacher: Teacher) -> int:
    """Tells a teacher's weights, and the pixels that it gets, from others."""
    total = zlib.crc32(repr(teacher.pixels).encode())
    for value in teacher.model.state_dict().values():
        total = zlib.crc32(value.detach().cpu().flatten().view(torch.uint8).numpy(), total)
    return total
