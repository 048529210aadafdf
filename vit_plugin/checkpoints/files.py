"""Folders of Hugging Face, checkpoints in parts, and files that are no checkpoints."""
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from .errors import CheckpointError

# As Hugging Face's `save_pretrained` writes them, by precedence.
WEIGHTS = ('model.safetensors', 'model.safetensors.index.json',
           'pytorch_model.bin', 'pytorch_model.bin.index.json')
# The first bytes of what is taken for a checkpoint, and is none.
STARTS = {
    b'version https://git-lfs': "a pointer of Git LFS in place of the file: run 'git lfs pull', or "
                                'download the file itself',
    b'<!doctype html': 'a web page: the download went wrong',
    b'<html': 'a web page: the download went wrong',
    b'\x89HDF': 'an HDF5 file, as Keras and TensorFlow write; convert it to torch first',
}
# torch's own files before its zip archives start like a pickle too, with this number.
TORCH_PICKLE = b'\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.'


def find_weights(path: Path) -> Path:
    """The weights' file in a folder of Hugging Face; a path that is no folder as it is.

    Raises:
        UserError: the folder has none that is known.
    """
    if not path.is_dir():
        return path
    for name in WEIGHTS:
        if (path / name).is_file():
            return path / name
    names = sorted(file.name for file in path.iterdir())
    raise CheckpointError(f"the folder '{path}' has none of {', '.join(WEIGHTS)}; it has "
                          f"{', '.join(names[:10]) or 'no files'}")


def read_shards(index: Path, read: Callable[[Path], dict[str, Tensor]]) -> dict[str, Tensor]:
    """The tensors of a checkpoint in parts, by its ``*.index.json``.

    Raises:
        UserError: no such index, or a part or a tensor that it names is absent.
    """
    try:
        names = json.loads(index.read_text(encoding='utf-8'))['weight_map']
        parts = sorted(set(names.values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"'{index}' is no index of a checkpoint in parts, which has a "
                              f"'weight_map': {type(error).__name__}: {error}") from error
    weights: dict[str, Tensor] = {}
    for part in parts:
        if Path(part).name != part or not (index.parent / part).is_file():
            raise CheckpointError(f"'{index}' names the part '{part}', which is not beside it")
        weights |= read(index.parent / part)
    absent = [name for name in names if name not in weights]
    if absent:
        raise CheckpointError(f"'{index}' names {len(absent)} tensors that its parts have not, "
                              f"'{absent[0]}' first")
    return weights


def identify(file: Path) -> str | None:
    """The kind of a file that cannot be read as a checkpoint, if known."""
    with file.open('rb') as opened:
        start = opened.read(64)
    for first, what in STARTS.items():
        if start.lower().startswith(first.lower()):
            return f'it is {what}'
    names = zip_members(file)
    if names and all(name.endswith('.npy') for name in names):
        return ('it is a NumPy archive (.npz), as of the ViTs of JAX; timm converts those: '
                'timm.create_model(..., checkpoint_path=...)')
    if is_script(file):
        return ('it is a TorchScript program, which would run code: load it with torch.jit.load '
                'where you trust it, and save its state_dict()')
    if file.suffix == '.pkl' or (start[:1] == b'\x80' and not start.startswith(TORCH_PICKLE)):
        return ("it is a plain pickle, as detectron2's .pkl are, and no file of torch. Reading it "
                'can run code; where you trust it, content = pickle.load(open(path, "rb")), then '
                "torch.save({name: torch.as_tensor(value) for name, value in "
                "content['model'].items()}, new_path)")
    return None


def is_script(file: Path) -> bool:
    """True for a TorchScript program, known as torch knows it."""
    return any(name.endswith('/constants.pkl') for name in zip_members(file))


def zip_members(file: Path) -> list[str]:
    """The names in a zip archive; none for a damaged one or another file."""
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.namelist()
    except Exception:  # damaged bytes can raise almost anything
        return []
