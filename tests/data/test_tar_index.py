"""Members of tar shards: keys with dots, links, and what is no plain file."""
import os
import tarfile
from pathlib import Path

import pytest
from mmengine.logging import MMLogger

from tests.data.test_packed import add
from vit_plugin.data.packed import TarImages
from vit_plugin.errors import UserError


def test_what_is_no_file(tmp_path: Path) -> None:
    """A pipe would be waited for."""
    os.mkfifo(tmp_path / 'images-9.tar')
    with pytest.raises(UserError, match=r"images-9\.tar' matches 'images-\*\.tar', but is no file"):
        TarImages('images-*.tar', str(tmp_path))
    with pytest.raises(UserError, match='but is no file'):
        TarImages('.', str(tmp_path))


@pytest.mark.parametrize('members', [
    'photo.2024.jpg photo.2024.cls photo.2025.JPG photo.2025.cls',
    'a.b/x.jpg a.b/x.cls y.v1.2.jpg y.v1.2.cls', 'a.jpg a.cls v1.jpg v1.cls ._v1.jpg ._v1.cls',
    'a.jpg a.cls b.x.jpg b.x.cls a.mask.png a.depth.png a.other.cls'])
def test_keys_with_dots(members: str, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / 'images-1.tar', 'w') as tar:
        for name in members.split():
            add(tar, name, name.rpartition('.')[0].encode() if name[-1] in 'gG' else b'1')
    MMLogger.get_instance(tmp_path.name, log_file=str(tmp_path / 'data.log'))
    dataset = TarImages('images-1.tar', str(tmp_path))
    keys = [dataset.read(dataset.get_data_info(i)).decode() for i in range(len(dataset))]
    expected = {name.rpartition('.')[0] for name in members.split()}
    assert {*keys} == {key for key in expected
                       if not key.startswith('._') and key not in ('a.mask', 'a.depth', 'a.other')}
    said = (tmp_path / 'data.log').read_text()
    assert ("images-1.tar': 3 images or labels are passed over, as other fields of a sample: "
            'a.depth, a.mask, a.other' in said) == ('mask' in members)


def link(tar: tarfile.TarFile, name: str, target: str, kind: bytes = tarfile.LNKTYPE) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    tar.addfile(member)


def test_links_in_shards(tmp_path: Path) -> None:
    """tar writes a file that it meets a second time as a link to the first."""
    with tarfile.open(tmp_path / 'images-1.tar', 'w') as tar:
        link(tar, 'x/soft.jpg', '../x/hard.jpg', tarfile.SYMTYPE)
        add(tar, './x/a.jpg', b'image')
        add(tar, 'x/a.cls', b'1')
        link(tar, 'x/hard.jpg', './x/a.jpg')
        link(tar, 'x/hard.cls', 'x/a.cls')
        link(tar, 'x/soft.cls', 'a.cls', tarfile.SYMTYPE)
    dataset = TarImages('images-1.tar', str(tmp_path))
    assert len(dataset) == 3
    for i in range(3):
        assert dataset.read(dataset.get_data_info(i)) == b'image'
        assert dataset.get_data_info(i)['gt_label'] == 1


@pytest.mark.parametrize('target', ['gone.jpg', '/etc/passwd', 'b.jpg', 'a.jpg'])
def test_links_that_lead_nowhere(target: str, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / 'images-1.tar', 'w') as tar:
        add(tar, 'a.cls', b'1')
        link(tar, 'a.jpg', target, tarfile.SYMTYPE)
        link(tar, 'b.jpg', 'a.jpg', tarfile.SYMTYPE)
    with pytest.raises(UserError, match=r"'[ab]\.jpg' in the .* is a link to '.*', which is no"):
        TarImages('images-1.tar', str(tmp_path))


def test_sparse_members(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / 'images-1.tar', 'w', format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo('a.jpg')
        member.pax_headers = {'GNU.sparse.map': '0,0', 'GNU.sparse.size': '9'}
        tar.addfile(member)
    with pytest.raises(UserError, match=r"'a\.jpg' in the shard .* is stored with holes"):
        TarImages('images-1.tar', str(tmp_path))
