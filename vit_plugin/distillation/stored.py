"""A teacher's outputs on disk: computed by the first run, read by every later one."""
import json
import zlib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import is_main_process
from torch import Tensor, nn

from vit_plugin.errors import UserError
from vit_plugin.files import written_whole

from .encoding import Encoding, TopScores, Vector
from .finite import require_finite
from .frozen import Teacher
from .losses import Distillation, ScoreDistillation
from .teacher import Function

# How far the mean of an image's pixels may be from the stored one, which is in half precision.
ATOL, RTOL = 1e-2, 1e-3
OPEN_FILES = 8


class StoredOutputs:
    """The teacher's outputs for a batch (B, 3, H, W), asking it once for each drawing of a sample.

    Where pixels follow from (seed, epoch, sample, repeat) alone, as `SeededDataset` makes them, the
    teacher sees the same images in every run, whatever the batch size and the number of processes.
    So what it says of them is kept under this key: a file of records for each epoch and repeat,
    written through memory maps. A record has a checksum: one that a kill cut short is as good as
    absent. What is absent is asked, and what is read is what the run that stored it used. Fast
    knowledge distillation (FKD, Shen and Xing, https://arxiv.org/abs/2112.01528) and TinyViT (Wu et
    al., https://arxiv.org/abs/2207.10666) store top scores likewise.

    Scores that a single `HardDistillation` or `SoftDistillation` takes are kept as `TopScores`, all
    other outputs (B, C) as half floats.

    Args:
        folder: Where the files are, or will be.
        teacher: Computes what is not there.
        losses: Those of this teacher, by the text of what they compare of it.
        mixes: What makes the pixels of an image depend on its batch (Mixup, ...). Then batch size
            and number of processes must be those of the run that stored the outputs.

    Raises:
        ValueError: an output is no vector for each image; or, at a call, what is stored is of
            another seed, teacher, data set or kind of loss, or of other pixels; the batch does not
            say which samples it has; the outputs hold NaN or infinity.
    """

    def __init__(self, folder: str | Path, teacher: Teacher,
                 losses: dict[str, list[Distillation]], mixes: Sequence[str] = ()) -> None:
        self.folder, self.teacher, self.losses = Path(folder), teacher, losses
        self.mixes = list(mixes)
        self.files: dict[tuple[int, int], np.memmap] = {}
        self.encodings: list[tuple[str, Encoding]] = []
        for text in losses:
            self.require_vectors(text, teacher.shapes.get(text, []))
        if list(self.folder.glob('rank*of*.json')):
            raise UserError(f"the scores in {folder} were stored by an earlier version, by the "
                            'iterations of a run: store these in another folder')

    def outputs(self, x: Tensor, data_samples: Any) -> dict[str, list[Tensor]]:
        """The outputs of `Teacher.outputs`, looked up by the draws that the samples name."""
        draws, size = find_draws(data_samples, len(x))
        seen = None
        if not self.encodings:
            if not (self.folder / 'header.json').is_file():
                seen = self.teacher.outputs(x)
            self.start(draws[0].seed, size, seen)
        means = x.float().mean((1, 2, 3)).cpu().numpy()
        records = self.read(draws)
        absent = checksums(records) != records['check']
        if absent.any():
            seen = self.teacher.outputs(x) if seen is None else seen
            records[absent] = self.encode(seen, means)[absent]
            self.write(draws, records)
        self.check_pixels(draws, records['mean'].astype(np.float32), means)
        decoded: dict[str, list[Tensor]] = defaultdict(list)
        for i, (text, encoding) in enumerate(self.encodings):
            decoded[text].append(encoding.decode(records[f'output{i}']).to(x.device))
        return decoded

    def __deepcopy__(self, memo: dict) -> 'StoredOutputs':
        return self  # copies of the student share what is stored

    def start(self, seed: int, size: int, seen: dict[str, list[Tensor]] | None) -> None:
        """Compare with what the folder is said to hold, or say it."""
        path = self.folder / 'header.json'
        stored = json.loads(path.read_text()) if seen is None else {}
        widths = stored.get('widths') or {}
        for text, outputs in (seen or {}).items():
            self.require_vectors(text, [tuple(output.shape) for output in outputs])
            widths[text] = [output.shape[1] for output in outputs]
        self.encodings = [(text, encoding_for(self.losses[text], width))
                          for text in self.losses for width in widths.get(text, ())]
        kept = [f"{text or 'output'}: {encoding}" for text, encoding in self.encodings]
        kept += [text or 'output' for text in self.losses if text not in widths]
        header = dict(seed=seed, samples=size, mixes=self.mixes, teacher=checksum(self.teacher),
                      outputs=kept, widths=widths)
        self.kind = np.dtype([('check', 'u4'), ('mean', 'f2'), *(
            (f'output{i}', encoding.kind) for i, (_, encoding) in enumerate(self.encodings))])
        self.size = size
        if seen is not None:
            if is_main_process():
                with written_whole(path) as file:
                    file.write(json.dumps(header).encode())
        elif stored != header:
            differ = ', '.join(f'{key}={header[key]} (stored: {stored.get(key)})'
                               for key in header if stored.get(key) != header[key])
            raise UserError(f'the outputs in {self.folder} are of another run: {differ}. Make them '
                            "equal (the seed is the config's randomness=dict(seed=...)), or store "
                            'these in another folder')

    def file(self, epoch: int, repeat: int) -> np.memmap:
        """The records of all samples in an epoch; those that were not written are zeros."""
        key = epoch, repeat
        if key not in self.files:
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self.folder / f'epoch{epoch}{f"_repeat{repeat}" * bool(repeat)}.bin'
            size = self.size * self.kind.itemsize
            with open(path, 'ab') as file:  # which makes it; other processes may do the same
                if file.tell() < size:
                    file.truncate(size)
            if len(self.files) == OPEN_FILES:
                self.files.pop(next(iter(self.files)))
            self.files[key] = np.memmap(path, self.kind, 'r+', shape=self.size)
        return self.files[key]

    def read(self, draws: Sequence[Any]) -> np.ndarray:
        """The records (B,) of a batch."""
        return np.array([self.file(draw.epoch, draw.repeat)[draw.sample] for draw in draws],
                        self.kind)

    def write(self, draws: Sequence[Any], records: np.ndarray) -> None:
        """Keep the records (B,) of a batch."""
        for draw, record in zip(draws, records):
            self.file(draw.epoch, draw.repeat)[draw.sample] = record

    def encode(self, seen: dict[str, list[Tensor]], means: np.ndarray) -> np.ndarray:
        """The records (B,) of the teacher's outputs for a batch."""
        records = np.zeros(len(means), self.kind)
        records['mean'] = means
        outputs = [output for text in self.losses for output in seen[text]]
        for i, (output, (_, encoding)) in enumerate(zip(outputs, self.encodings)):
            require_finite(output.half().isfinite(), None)
            records[f'output{i}'] = encoding.encode(output.float())
        records['check'] = checksums(records)
        return records

    def check_pixels(self, draws: Sequence[Any], stored: np.ndarray, means: np.ndarray) -> None:
        """Raise `ValueError` unless the images are those that the outputs are of."""
        wrong = ~np.isclose(means, stored, atol=ATOL, rtol=RTOL)
        if not wrong.any():
            return
        i = int(wrong.argmax())
        cause = ('Data and augmentation must be the same, and follow from seed, epoch and sample: '
                 'vit_plugin.SeededDataset sees to that')
        if self.mixes:
            cause = (f'The images of a batch are mixed here, by {" and ".join(self.mixes)}, so '
                     'that batch size and number of processes must be the same, as well as data '
                     'and augmentation, and vit_plugin.SeedHook be there')
        raise UserError(
            f'the outputs in {self.folder} are of other images: the mean of the pixels of sample '
            f'{draws[i].sample} in epoch {draws[i].epoch} was {stored[i]:.2f}, now it is '
            f'{means[i]:.2f}. {cause}; or store these in another folder')

    def require_vectors(self, text: str, shapes: Sequence[tuple[int, ...]]) -> None:
        """Raise `ValueError` for outputs that are too large to keep."""
        for shape in shapes:
            if len(shape) != 2:
                kind, size = type(self.losses[text][0]), 2 * int(np.prod(shape[1:])) / 1000
                raise UserError(
                    f'store= keeps scores or one feature of an image, but {kind.__name__} compares '
                    f"'{text or 'output'}' of the teacher, of the shape {shape[1:]} for an image, "
                    f'{size:.0f} kB: leave store= or this loss out')


def encoding_for(losses: Sequence[Distillation], width: int) -> Encoding:
    """The encoding of outputs (B, width) for these losses."""
    if len(losses) == 1 and isinstance(losses[0], ScoreDistillation) and width <= 2**16:
        return TopScores(width, losses[0])
    return Vector(width)


def find_draws(data_samples: Any, batch: int) -> tuple[list[Any], int]:
    """Which drawings of the data set a batch has, and the size of the data set."""
    draws = [sample.get('sample_key') for sample in data_samples or ()]
    if len(draws) != batch or None in draws:
        raise UserError(
            'store= keeps what the teacher says of each sample of the data set, but which samples '
            "these are is unknown: the training data need dataset=dict(type='vit_plugin."
            "SeededDataset', dataset=...) and sampler=dict(type='vit_plugin.SeededSampler', "
            'sampler=...); or leave store= out of teacher=')
    return draws, data_samples[0].num_samples


def mixes_of(data_preprocessor: nn.Module) -> list[str]:
    """Names of the augmentations by which a data preprocessor mixes the images of a batch."""
    found = getattr(data_preprocessor, 'batch_augments', None)
    augments = getattr(found, 'augments', found) or ()
    return [type(augment).__name__ for augment in augments if augment is not None]


def checksums(records: np.ndarray) -> np.ndarray:
    """The checksum of each record, (B,), without the record's own."""
    return np.array([zlib.crc32(record.tobytes()[4:]) for record in records], np.uint32)


def checksum(teacher: Teacher) -> int:
    """Tells a teacher's weights, and the pixels that it gets, from others."""
    name = teacher.model.name if isinstance(teacher.model, Function) else ''
    total = zlib.crc32(f'{teacher.pixels!r}{name}'.encode())
    for value in teacher.model.state_dict().values():
        total = zlib.crc32(value.detach().cpu().flatten().view(torch.uint8).numpy(), total)
    return total
