"""Files that would take far more memory than their size are refused before they are read."""
import argparse
import codecs
import io
import pickle
import re
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

from vit_plugin.checkpoints import CheckpointError, read_checkpoint, read_state_dict

from .checkpoint_models import timm_vit


class Call:
    """Pickled as the call of a function."""

    def __init__(self, function: Callable, *args: object) -> None:
        self.call = function, args

    def __reduce__(self) -> tuple:
        return self.call


def one_member() -> object:
    return {'a.b': torch.zeros(2**25)}


def many_members() -> object:
    return [torch.zeros(2**20) for _ in range(32)]


def deflate(content: object, path: Path) -> None:
    """Save a content as torch does, and zip it again."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with zipfile.ZipFile(buffer) as stored, \
            zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED, compresslevel=1) as deflated:
        for name in stored.namelist():
            deflated.writestr(name, stored.read(name))


def doubled() -> Call:
    """Hexadecimal digits of hexadecimal digits, forty times."""
    value = Call(codecs.encode, 'a', 'latin1')
    for _ in range(40):
        value = Call(codecs.encode, value, 'hex')
    return value


def repeated() -> list:
    """A list that is written once, as a set ten thousand times."""
    numbers = list(range(10**4))
    return [Call(set, numbers) for _ in range(10**4)]


PICKLES = {
    'range': lambda: Call(set, Call(range, 10**9)),
    'bytearray': lambda: Call(bytearray, 10**12),
    'counter': lambda: Call(Counter, Call(range, 10**9)),
    'size': lambda: Call(torch.Size, Call(range, 10**9)),
    'history': lambda: Call(HistoryBuffer, Call(range, 10**10)),
    'numpy': lambda: Call(np.float64(0).__reduce__()[0], np.dtype('S2000000000')),
    'tensor': lambda: Call(set, Call(torch.FloatTensor, 10**9)),
    'doubled': doubled,
    'repeated': repeated,
}


@pytest.mark.parametrize('zipped', [True, False], ids=['zip', 'legacy'])
@pytest.mark.parametrize('case', PICKLES)
def test_calls_that_make_far_more_than_they_are_given(case: str, zipped: bool,
                                                      tmp_path: Path) -> None:
    path = tmp_path / 'a.pth'
    torch.save({'more': PICKLES[case]()}, path, _use_new_zipfile_serialization=zipped)
    said = 'missing 1 required' if case == 'numpy' else 'the calls in its pickle'
    with pytest.raises(CheckpointError, match=f"'{re.escape(str(path))}': .*{said}"):
        read_state_dict(path)


def test_bare_pickle(tmp_path: Path) -> None:
    """torch runs the unpickler before it looks for the number that its files begin with."""
    (tmp_path / 'a.pth').write_bytes(pickle.dumps(Call(set, Call(range, 10**9)), protocol=2))
    with pytest.raises(CheckpointError, match='the calls in its pickle'):
        read_state_dict(tmp_path / 'a.pth')


def test_call_without_a_tuple(tmp_path: Path) -> None:
    """``bytearray(*[10**9])``, which no pickler writes."""
    code = b'\x80\x02cbuiltins\nbytearray\n]\x8a\x04\x00\xca\x9a\x3baR.'
    (tmp_path / 'a.pth').write_bytes(code)
    with pytest.raises(CheckpointError, match='arguments that are no tuple'):
        read_state_dict(tmp_path / 'a.pth')


@pytest.mark.parametrize('build', [one_member, many_members])
def test_archive_that_expands(build: Callable[[], object], tmp_path: Path) -> None:
    """128 MB of zeros in less than one."""
    path = tmp_path / 'a.pth'
    deflate(build(), path)
    assert path.stat().st_size < 2**20
    with pytest.raises(CheckpointError, match=r'bytes expand to [\d,]+, as no weights do'):
        read_state_dict(path)


def test_deflated_weights_are_read(tmp_path: Path) -> None:
    theirs = timm_vit()
    deflate(theirs.state_dict(), tmp_path / 'a.pth')
    assert torch.equal(read_state_dict(tmp_path / 'a.pth')['pos_embed'], theirs.pos_embed)


def test_plain_data_is_read(tmp_path: Path) -> None:
    """Sets, ranges, logs of a long training, and views of one large storage."""
    history = HistoryBuffer()
    history._log_history = history._count_history = np.random.rand(10**5)
    flat = torch.zeros(10**6)
    content = dict(classes={'a', 'b'}, window=range(100), history=history, empty=bytearray(9),
                   args=argparse.Namespace(lr=0.1, sizes=[32] * 1000), counts=Counter('abc'),
                   scalars=[np.float64(i) for i in range(300)],
                   views=[flat[:10**6 - i] for i in range(1000)])
    torch.save(content, tmp_path / 'a.pth')
    read = read_checkpoint(tmp_path / 'a.pth')
    assert read['classes'] == {'a', 'b'}
    assert read['window'] == range(100)
    assert read['args'] == content['args']
    assert read['scalars'] == content['scalars']
    assert len(read['views']) == 1000
