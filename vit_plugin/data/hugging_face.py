"""Images in Arrow and Parquet, by Hugging Face's library ``datasets``; it needs mmpretrain."""
from collections.abc import Iterator, Sequence
from glob import glob
from pathlib import Path
from typing import Any

from mmengine import fileio

from vit_plugin.checks.addresses import check_addresses
from vit_plugin.checks.findings import raise_errors
from vit_plugin.errors import UserError, shorten
from vit_plugin.registry import DATASETS

from .packed import PackedImages


@DATASETS.register_module()
class HuggingFaceImages(PackedImages):
    """Images of a Hugging Face data set (Arrow, Parquet), by the library ``datasets``.

    Args:
        source: What ``datasets.load_dataset`` takes (a name, a folder, ``'parquet'``, ...), or a
            folder that ``save_to_disk`` wrote.
        split: The split, e.g. ``'train'``.
        image_key, label_key: The columns: images, or the content of their files; and numbers, or
            names of ``classes``. A column of ``ClassLabel`` also names the classes.
        options: More arguments of ``load_dataset``, e.g. ``dict(data_files='train-*.parquet')``.
        addresses: Beginnings of addresses that rows may name in place of an image's content, e.g.
            ``['https://images.example.org/']``; without one, they are refused.
        **kwargs: mmpretrain's ``BaseDataset``'s: ``pipeline``, ``classes``, ...

    Raises:
        ImportError: ``datasets`` is not installed.
        UserError: the data set cannot be read, or has no such split or column, or a label that
            is no class, or names addresses that are not allowed.
    """

    def __init__(self, source: str, split: str = 'train', image_key: str = 'image',
                 label_key: str = 'label', options: dict | None = None,
                 addresses: Sequence[str] = (), **kwargs: object) -> None:
        self.source = source
        self.split = split
        self.image_key = image_key
        self.label_key = label_key
        self.options = options or {}
        self.addresses = addresses
        super().__init__('', **kwargs)

    def load_data_list(self) -> list[dict]:
        """The samples: the number of the row, and its label."""
        self.table = self.open_table()
        names = getattr(self.table.features[self.label_key], 'names', None)
        if self.CLASSES is None and names:
            self._metainfo['classes'] = tuple(names)
        if not len(self.table):
            raise UserError(f"the split '{self.split}' of the data set '{self.source}' has no rows")
        raise_errors(check_addresses(self.paths_of_images(), self.addresses, self.source))
        samples = []
        for i, label in enumerate(self.table[self.label_key]):
            path = f'{self.source}/{self.split}/{i}'
            samples.append(dict(img_path=path, row=i,
                                gt_label=self.class_number(label, f"'{path}'")))
        return samples

    def open_table(self) -> Any:
        """The data set, with images as they are in the file."""
        try:
            import datasets
        except ImportError as error:
            raise ImportError(
                f"HuggingFaceImages needs the library 'datasets' ({error}): pip install "
                "'vit-plugin[huggingface]', with NumPy 1 'pyarrow<26' as well") from error
        table = self.choose_split(self.load())
        for key in (self.image_key, self.label_key):
            if key not in table.features:
                raise UserError(f"the data set '{self.source}' has no column '{key}': set "
                                f'image_key and label_key to two of {list(table.features)}')
        images = table.features[self.image_key]
        if isinstance(images, datasets.Value) and 'binary' not in images.dtype:
            raise UserError(f"the column '{self.image_key}' of the data set '{self.source}' holds "
                            f'{images.dtype}, not images or the content of image files')
        if isinstance(images, datasets.Image):
            table = table.cast_column(self.image_key, datasets.Image(decode=False))
        return table

    def load(self) -> Any:
        """The source as loaded by ``datasets``: one split, or a dict of several."""
        import datasets
        try:
            written = (Path(self.source, name) for name in ('state.json', 'dataset_dict.json'))
            if any(path.exists() for path in written):
                return datasets.load_from_disk(self.source)
            return datasets.load_dataset(self.source, split=self.split, **self.options)
        except Exception as error:  # of Arrow, of the file system, of the hub, ...
            reason = error.__cause__ or error
            options = f' with {self.options}' if self.options else ''
            raise UserError(
                f"cannot read the split '{self.split}' of the data set '{self.source}'{options} "
                f'({type(reason).__name__}: {reason})'
                f'{name_unreadable(self.source, self.options.get("data_files"))}') from error

    def choose_split(self, table: Any) -> Any:
        """One split of what `load` gives."""
        if isinstance(table, dict):
            if self.split not in table:
                raise UserError(f"the data set '{self.source}' has no split '{self.split}': set "
                                f'split to one of {list(table)}')
            return table[self.split]
        if table.split not in (None, self.split):
            raise UserError(f"the data set '{self.source}' is the split '{table.split}', not "
                            f"'{self.split}'")
        return table

    def read(self, sample: dict) -> bytes:
        """The content of a sample's image."""
        image = self.table[sample['row']][self.image_key]
        if isinstance(image, dict):  # the content, or the path of a file
            if not image['bytes']:
                raise_errors(check_addresses([image['path']], self.addresses, self.source))
            image = image['bytes'] or fileio.get(image['path'])
        return image

    def paths_of_images(self) -> Iterator[str | None]:
        """The paths of the images that are not in the table itself."""
        if not isinstance(self.table[:1][self.image_key][0], dict):
            return
        column = self.table.select_columns([self.image_key]).with_format('arrow')
        for table in column.iter(batch_size=1000):
            for images in table[self.image_key].chunks:  # no content is read
                paths = images.field('path').filter(images.field('bytes').is_null())
                yield from paths.to_pylist()


def name_unreadable(source: str, data_files: str | Sequence[str] | dict | None) -> str:
    """Name the local Parquet files that cannot be read; the library names none."""
    import pyarrow.parquet

    patterns = listed(data_files or f'{source}/**/*.parquet')
    files = {file for pattern in patterns for file in glob(pattern, recursive=True)}
    bad = []
    for file in sorted(files):
        try:
            pyarrow.parquet.read_schema(file)
        except (OSError, pyarrow.ArrowException):
            bad.append(repr(file))
    return f'; it cannot read {shorten(bad)}: copy or write them again' if bad else ''


def listed(data_files: str | Sequence[str] | dict) -> list[str]:
    """The patterns of ``data_files`` of ``load_dataset``: one, several, or those of splits."""
    if isinstance(data_files, str):
        return [data_files]
    parts = data_files.values() if isinstance(data_files, dict) else data_files
    return [pattern for part in parts for pattern in listed(part)]
