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
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from vit_plugin.errors import UserError
from vit_plugin.files import written_whole
from vit_plugin.training.sampling import SampleKey

from .fingerprints import FINGERPRINT, differences, fingerprints
from .losses import Distillation
from .pairs import Pair
from .stored_formats import Format, format_for
from .teacher import Teacher
from .teacher_checks import require_finite
from .teacher_configs import Function

OPEN_FILES = 8

Outputs = dict[str, list[Tensor]]


class StoredOutputs:
    """The teacher's outputs for a batch (B, 3, H, W), computed once for each view of a sample.

    Pixels follow from (seed, epoch, sample, repeat) alone, as `SeededDataset` makes them, whatever
    the batch size and the number of processes. So outputs are kept under this key: a file of
    records for each epoch and repeat, written through memory maps. A record has a checksum: one
    that a kill cut short is as good as absent, and computed again. FKD (Shen and Xing,
    https://arxiv.org/abs/2112.01528) and TinyViT (Wu et al., https://arxiv.org/abs/2207.10666)
    store top scores likewise.

    Scores that a single `HardDistillation` or `SoftDistillation` takes are kept as `TopScores`, all
    other outputs (B, C) as half floats.

    Args:
        folder: Where the files are, or will be.
        teacher: Computes what is not there.
        losses: Those of this teacher, by the text of its tap.
        mixes: What makes the pixels of an image depend on its batch (Mixup, ...). Then batch size
            and number of processes must be those of the run that stored the outputs.

    Raises:
        UserError: an output is no vector for each image; or, at a call, what is stored is of
            another seed, teacher, data set or kind of loss, or of other pixels; the batch does not
            say which samples it has; the outputs hold NaN or infinity.
    """

    def __init__(self, folder: str | Path, teacher: Teacher,
                 losses: dict[str, list[Distillation]], mixes: Sequence[str] = ()) -> None:
        self.folder, self.teacher, self.losses = Path(folder), teacher, losses
        self.mixes = list(mixes)
        self.files: dict[tuple[int, int], np.memmap] = {}
        self.formats: list[tuple[str, Format]] = []
        for text in losses:
            self.require_vectors(text, teacher.shapes.get(text, []))

    def outputs(self, x: Tensor, data_samples: Sequence[BaseDataElement] | None) -> Outputs:
        """The outputs of `Teacher.outputs`, looked up by the `SampleKey` that each sample names."""
        keys, size = find_keys(data_samples, len(x))
        computed = None
        if not self.formats:
            if not (self.folder / 'header.json').is_file():
                computed = self.teacher.outputs(x)
            self.start(keys[0].seed, size, computed)
        pixels = fingerprints(x)
        records = self.read(keys)
        absent = checksums(records) != records['check']
        if absent.any():
            if computed is None:
                computed = self.teacher.outputs(x)
            records[absent] = self.encode(computed, pixels)[absent]
            self.write(keys, records)
        self.check_pixels(keys, records['pixels'].astype(np.float32), pixels)
        decoded: Outputs = defaultdict(list)
        for i, (text, fmt) in enumerate(self.formats):
            decoded[text].append(fmt.decode(records[f'output{i}']).to(x.device))
        return decoded

    def __deepcopy__(self, memo: dict) -> 'StoredOutputs':
        return self  # copies of the student share what is stored

    def start(self, seed: int, size: int, computed: Outputs | None) -> None:
        """Compare the folder's header with this run, or write it with the first outputs."""
        path = self.folder / 'header.json'
        stored = read_header(path) if computed is None else {}
        widths = stored.get('widths') or {}
        for text, outputs in (computed or {}).items():
            self.require_vectors(text, [tuple(output.shape) for output in outputs])
            widths[text] = [output.shape[1] for output in outputs]
        self.formats = [(text, format_for(losses, width))
                        for text, losses in self.losses.items() for width in widths.get(text, ())]
        kept = [f"{text or 'output'}: {fmt}" for text, fmt in self.formats]
        kept += [text or 'output' for text in self.losses if text not in widths]
        header = dict(seed=seed, samples=size, mixes=self.mixes, teacher=checksum(self.teacher),
                      outputs=kept, widths=widths, pixels=list(FINGERPRINT))
        fields = [(f'output{i}', fmt.record) for i, (_, fmt) in enumerate(self.formats)]
        self.record = np.dtype([('check', 'u4'), ('pixels', 'f2', 4), *fields])
        self.size = size
        if computed is None:
            self.require_equal(stored, header)
        elif is_main_process():
            with written_whole(path) as file:
                file.write(json.dumps(header).encode())

    def require_equal(self, stored: dict[str, Any], header: dict[str, Any]) -> None:
        """Raise `UserError` with all entries of the stored header that this run's has otherwise."""
        differ = [f'{key}={value} (stored: {stored.get(key)})' for key, value in header.items()
                  if stored.get(key) != value]
        if differ:
            raise UserError(f"the outputs in {self.folder} are of another run: {', '.join(differ)}."
                            " Make them equal (the seed is the config's randomness=dict(seed=...)),"
                            ' or store these in another folder')

    def file(self, epoch: int, repeat: int) -> np.memmap:
        """The records of all samples in an epoch; those that were not written are zeros."""
        key = epoch, repeat
        if key not in self.files:
            self.folder.mkdir(parents=True, exist_ok=True)
            suffix = f'_repeat{repeat}' if repeat else ''
            path = self.folder / f'epoch{epoch}{suffix}.bin'
            size = self.size * self.record.itemsize
            with open(path, 'ab') as file:  # which makes it; other processes may do the same
                if file.tell() < size:
                    file.truncate(size)
            if len(self.files) == OPEN_FILES:
                oldest = next(iter(self.files))
                del self.files[oldest]
            self.files[key] = np.memmap(path, self.record, 'r+', shape=self.size)
        return self.files[key]

    def read(self, keys: Sequence[SampleKey]) -> np.ndarray:
        """The records (B,) of a batch."""
        records = [self.file(key.epoch, key.repeat)[key.sample] for key in keys]
        return np.array(records, self.record)

    def write(self, keys: Sequence[SampleKey], records: np.ndarray) -> None:
        """Keep the records (B,) of a batch."""
        for key, record in zip(keys, records):
            self.file(key.epoch, key.repeat)[key.sample] = record

    def encode(self, computed: Outputs, pixels: np.ndarray) -> np.ndarray:
        """The records (B,) of the teacher's outputs for a batch with these fingerprints."""
        records = np.zeros(len(pixels), self.record)
        records['pixels'] = pixels
        outputs = [output for text in self.losses for output in computed[text]]
        for i, (output, (_, fmt)) in enumerate(zip(outputs, self.formats)):
            require_finite(output.half().isfinite(), None)
            records[f'output{i}'] = fmt.encode(output.float())
        records['check'] = checksums(records)
        return records

    def check_pixels(self, keys: Sequence[SampleKey], stored: np.ndarray, pixels: np.ndarray
                     ) -> None:
        """Raise `UserError` unless the images are those that the outputs are of."""
        wrong = differences(stored, pixels)
        if not len(wrong):
            return
        i, which = wrong[0]
        cause = ('Data and augmentation must be the same, and follow from seed, epoch and sample: '
                 'vit_plugin.SeededDataset sees to that')
        if self.mixes:
            cause = (f'The images of a batch are mixed here, by {" and ".join(self.mixes)}, so '
                     'that batch size and number of processes must be the same, as well as data '
                     'and augmentation, and vit_plugin.SeedHook be there')
        raise UserError(
            f'the outputs in {self.folder} are of other images: {FINGERPRINT[which]} of sample '
            f'{keys[i].sample} in epoch {keys[i].epoch} was {stored[i, which]:.3f}, now it is '
            f'{pixels[i, which]:.3f}. {cause}; or store these in another folder')

    def require_vectors(self, text: str, shapes: Sequence[tuple[int, ...]]) -> None:
        """Raise `UserError` for outputs that are too large to keep."""
        for shape in shapes:
            if len(shape) != 2:
                kind, size = type(self.losses[text][0]), 2 * int(np.prod(shape[1:])) / 1000
                raise UserError(
                    f'store= keeps scores or one feature of an image, but {kind.__name__} compares '
                    f"'{text or 'output'}' of the teacher, of the shape {shape[1:]} for an image, "
                    f'{size:.0f} kB: leave store= or this loss out')


def read_header(path: Path) -> dict[str, Any]:
    """The header of a folder of outputs, or `UserError` if it is damaged."""
    try:
        header = json.loads(path.read_bytes())
        header['widths'].items()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"'{path}' is damaged, and tells nothing of the outputs beside it: delete "
                        'the folder, so that they are computed and stored again') from error
    return header


def open_stores(configs: Sequence[Any], teachers: Sequence[Teacher], pairs: Sequence[Pair],
                data_preprocessor: nn.Module) -> dict[Teacher, StoredOutputs]:
    """The stores of the teachers whose configs name a folder for their outputs."""
    stores = {}
    for config, teacher in zip(configs, teachers):
        folder = config.get('store') if isinstance(config, dict) else None
        if folder:
            losses: dict[str, list[Distillation]] = {}
            for pair in pairs:
                if pair.teacher is teacher:
                    losses.setdefault(pair.theirs.tap.text, []).append(pair.loss)
            stores[teacher] = StoredOutputs(folder, teacher, losses, mixes_of(data_preprocessor))
    return stores


def mixes_of(data_preprocessor: nn.Module) -> list[str]:
    """Names of the augmentations by which a data preprocessor mixes the images of a batch."""
    found = getattr(data_preprocessor, 'batch_augments', None)
    augments = getattr(found, 'augments', found) or ()
    return [type(augment).__name__ for augment in augments if augment is not None]


def find_keys(data_samples: Sequence[BaseDataElement] | None, batch: int
               ) -> tuple[list[SampleKey], int]:
    """The `SampleKey` of each sample of a batch, and the size of the data set."""
    samples = data_samples or ()
    keys = [sample.get('sample_key') for sample in samples]
    if len(keys) != batch or None in keys:
        raise UserError(
            'store= keeps what the teacher says of each sample of the data set, but which samples '
            "these are is unknown: the training data need dataset=dict(type='vit_plugin."
            "SeededDataset', dataset=...) and sampler=dict(type='vit_plugin.SeededSampler', "
            'sampler=...); or leave store= out of teacher=')
    return keys, samples[0].num_samples


def checksums(records: np.ndarray) -> np.ndarray:
    """The checksum of each record, (B,), without the record's own."""
    return np.array([zlib.crc32(record.tobytes()[4:]) for record in records], np.uint32)


def checksum(teacher: Teacher) -> int:
    """A checksum of a teacher's weights and of the pixels that it gets."""
    name = teacher.model.name if isinstance(teacher.model, Function) else ''
    total = zlib.crc32(f'{teacher.pixels!r}{name}'.encode())
    for value in teacher.model.state_dict().values():
        total = zlib.crc32(value.detach().cpu().flatten().view(torch.uint8).numpy(), total)
    return total
