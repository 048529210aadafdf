"""What does not fit, is damaged or needs code raises, and leaves the model as it was."""
import io
import os
import pickle
import random
import re
import struct
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import mmpretrain.models
import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.optim import MultiStepLR, OneCycleLR
from mmengine.runner import load_checkpoint
from safetensors.torch import save
from torch import Tensor, nn

from vit_plugin.backbones import SwinTransformer
from vit_plugin.checkpoints import (
    CheckpointError,
    load_pretrained,
    read_checkpoint,
    read_state_dict,
)

from .checkpoint_models import SIZE, SWIN, deit, swin, timm_swin, timm_vit


def state(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def assert_refused(model: nn.Module, path: Path, *messages: str) -> None:
    """Loading raises one clear error that names the file, and changes nothing."""
    before = state(model)
    with pytest.raises(CheckpointError) as error:
        load_pretrained(model, path)
    for message in (re.escape(str(path)), *messages):
        assert re.search(message, str(error.value)), str(error.value)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def saved(content: object, path: Path) -> Path:
    torch.save(content, path)
    return path


def test_less_than_the_threshold(tmp_path: Path) -> None:
    weights = {key: value for key, value in timm_swin().state_dict().items()
               if not key.startswith('layers.2.blocks.1.mlp')}
    path = saved(weights, tmp_path / 'a.pth')
    model = swin()
    assert_refused(model, path, r'[5-8]\d\.\d % of the parameters matched, 90 % must',
                   'first keys of the checkpoint.*: patch_embed',
                   'first keys of the backbone: patch_embed', 'only in the backbone: stages.2')
    load_pretrained(model, path, threshold=0.5)
    assert torch.equal(model.patch_embed.projection.weight, weights['patch_embed.proj.weight'])


@pytest.mark.parametrize(('case', 'message'), [
    ('deeper source', r'only in the checkpoint: stages\.1\.blocks\.1'),
    ('wider source', 'wrong values or shapes: patch_embed.projection.weight'),
    ('Swin V2', 'only in the checkpoint: .*logit_scale'),
    ('ViT', r'0\.0 % of the parameters'),
    ('nan', 'not finite'),
    ('integers', 'torch.int64, which no weight is'),
])
def test_another_architecture(case: str, message: str, tmp_path: Path) -> None:
    weights = swin().state_dict()
    if case == 'deeper source':
        weights = SwinTransformer(dict(SWIN, depths=(2, 2, 2)), window_size=4,
                                  out_indices=(0, 1, 2)).state_dict()
    elif case == 'wider source':
        weights = SwinTransformer(dict(SWIN, embed_dims=16), window_size=4,
                                  out_indices=(0, 1, 2)).state_dict()
    elif case == 'Swin V2':
        weights = mmpretrain.models.SwinTransformerV2(
            arch=dict(SWIN, extra_norm_every_n_blocks=0), img_size=SIZE, window_size=4,
            out_indices=(0, 1, 2)).state_dict()
    elif case == 'ViT':
        weights = deit().state_dict()
    elif case == 'nan':
        weights['stages.2.blocks.1.norm1.bias'][3] = float('nan')
    elif case == 'integers':
        weights['norm2.weight'] = torch.ones(32, dtype=torch.int64)
    assert_refused(swin(), saved(weights, tmp_path / 'a.pth'), message)


def test_layer_scale_of_another_model(tmp_path: Path) -> None:
    path = saved(timm_vit(init_values=0.1).state_dict(), tmp_path / 'a.pth')
    assert_refused(deit(), path, r'only in the checkpoint: layers\.0\.attn\.gamma1\.weight')


def test_foreign_weights(tmp_path: Path) -> None:
    path = saved(nn.Sequential(nn.Linear(2, 2)).state_dict(), tmp_path / 'a.pth')
    assert_refused(swin(), path, r"first keys: \['0\.weight', '0\.bias'\]")


@pytest.mark.parametrize(('content', 'message'), [
    ([1, 2], 'found list'), ({}, 'no tensors'), ({'model': {}}, 'no tensors'),
    (3.5, 'found float'), (torch.ones(2), 'found Tensor'),
    ({'state_dict': {'a.b': 'text'}}, "'a.b' is no tensor, but str"),
    ({'a.b': torch.ones(2).to_sparse()}, 'sparse'),
    ({'a.b': torch.ones(2, dtype=torch.complex64)}, 'complex'),
    ({'a.b': torch.empty(2, device='meta')}, 'holds less data'),
    ({'a.b': torch.ones(1).expand(10**6, 10**6)}, 'holds less data')])
def test_no_weights(content: object, message: str, tmp_path: Path) -> None:
    assert_refused(swin(), saved(content, tmp_path / 'a.pth'), message)


class Code:
    """Pickled as a call."""

    def __reduce__(self) -> tuple:
        return Path.touch, (Path('executed'),)


class System:
    """Pickled as a call of a module that torch blocks."""

    def __reduce__(self) -> tuple:
        return os.system, ('touch executed',)


@pytest.mark.parametrize('code', [Code, System])
@pytest.mark.parametrize('zipped', [True, False])
def test_code_is_not_run(zipped: bool, code: type, tmp_path: Path,
                         monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({'model': deit().state_dict(), 'args': code()}, 'a.pth',
               _use_new_zipfile_serialization=zipped)
    assert_refused(deit(), tmp_path / 'a.pth', 'would run code', 'weights_only=False')
    assert not Path('executed').exists()


def test_getattr_reaches_nothing_else(tmp_path: Path) -> None:
    """mmengine's checkpoints need getattr of a HistoryBuffer; nothing else can be reached by it."""

    class Reach:
        def __reduce__(self) -> tuple:
            return getattr, (np.ndarray, 'tofile')

    path = saved({'model': deit().state_dict(), 'x': Reach()}, tmp_path / 'a.pth')
    assert_refused(deit(), path, 'would run code', 'getattr of .*ndarray')


def test_what_runs_store_is_read(tmp_path: Path) -> None:
    """In dataset_meta, message_hub and param_schedulers."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.)
    content = dict(
        meta=ConfigDict(classes=('a', 'b'), label_map=dict(a={0, 1}, b=frozenset([2]))),
        scheduler=OneCycleLR(optimizer, eta_max=1., total_steps=9).state_dict(),
        steps=MultiStepLR(optimizer, milestones=[1, 1]).state_dict(),
        arrays=[np.ones(2, kind) for kind in ('u1', 'f2', 'i8', 'f8', '?', 'U3', 'u4')],
        scalars=[np.float16(1), np.int32(2)], others=[slice(1, 2), range(3), 1j])
    found = read_checkpoint(saved(content, tmp_path / 'a.pth'))
    assert repr(found) == repr(content)


def test_arguments_of_the_official_trainer_are_read(tmp_path: Path) -> None:
    from argparse import Namespace
    path = saved({'model': timm_vit().state_dict(), 'args': Namespace(lr=0.1)}, tmp_path / 'a.pth')
    assert torch.equal(read_state_dict(path)['pos_embed'], timm_vit().pos_embed)


def test_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'hub'))
    saved(timm_vit().state_dict(), tmp_path / 'a.pth')
    for name in ('one', 'other'):
        (tmp_path / name).mkdir()
        saved({name: torch.ones(1)}, tmp_path / name / 'model.pth')
        saved({name: torch.ones(1)}, tmp_path / name / 'model-0123abcd.pth')
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path)
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f'http://127.0.0.1:{server.server_port}'
        assert torch.equal(read_state_dict(f'{url}/a.pth')['pos_embed'], timm_vit().pos_embed)
        for name in ('one', 'other'):
            assert [*read_state_dict(f'{url}/{name}/model.pth?download=true')] == [name]
            assert [*read_state_dict(f'{url}/{name}/model-0123abcd.pth')] == ['one']  # the hash
        with pytest.raises(CheckpointError, match=f'cannot download .{re.escape(url)}'):
            read_state_dict(f'{url}/absent.pth')
        server.shutdown()
    read_state_dict(f'{url}/a.pth')  # kept in torch hub's folder


def test_absent_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r'nowhere\.pth'):
        load_pretrained(swin(), tmp_path / 'nowhere.pth')


def test_load_from_refuses_too(tmp_path: Path) -> None:
    """mmengine's own loader warns and goes on with random weights."""
    model = mmpretrain.models.ImageClassifier(swin())
    before = state(model)
    weights = nn.Sequential(nn.Linear(2, 2)).state_dict()
    others = {f'backbone.{key}': value for key, value in deit().state_dict().items()}
    for i, content in enumerate((weights, others, {'head.fc.weight': torch.ones(2, 2)})):
        with pytest.raises(CheckpointError):
            load_checkpoint(model, str(saved(content, tmp_path / f'{i}.pth')))
    model = nn.ModuleDict({'backbone': swin()})
    with pytest.raises(CheckpointError, match=r"nothing under 'backbone\.'.*init_cfg"):
        model.load_state_dict(timm_swin().state_dict(), strict=False)
    assert all(torch.equal(before['backbone.' + name], value)
               for name, value in model['backbone'].state_dict().items())


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.contiguous() for name, value in model.state_dict().items()}


def corrupt(data: bytes, weights: dict[str, Tensor], dump: Callable, dice: random.Random) -> bytes:
    """One of the ways in which a file can be wrong."""
    way = dice.randrange(7)
    if way == 0:
        return data[:dice.randrange(len(data))]
    if way in (1, 2):  # flipped bits, anywhere or in the header and the pickle
        damaged = bytearray(data)
        for _ in range(dice.choice((1, 8, 64))):
            damaged[dice.randrange(len(data) if way == 1 else min(len(data), 4000))] ^= \
                1 << dice.randrange(8)
        return bytes(damaged)
    if way == 3:
        start = dice.randrange(len(data))
        return data[:start] + dice.randbytes(dice.randrange(1, 200)) + data[start:]
    if way == 4:
        return dice.randbytes(dice.randrange(300))
    weights, name = dict(weights), dice.choice(list(weights))
    shape = dice.choice(((), (0,), (1,), (7,), (3, 5), (2**13, 2), (1, 17, 16), (1, 2, 3, 4, 5)))
    weights[name] = torch.zeros(shape, dtype=dice.choice(
        (torch.float32, torch.float64, torch.int32, torch.bool, torch.uint8)))
    if way == 6:
        for _ in range(dice.randrange(1, 40)):
            weights.pop(dice.choice(list(weights)))
    return dump(weights)


def dump_pth(weights: dict[str, Tensor], zipped: bool = True) -> bytes:
    buffer = io.BytesIO()
    torch.save({'model': weights}, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


@pytest.mark.parametrize('form', ['pth', 'old pth', 'safetensors'])
@pytest.mark.parametrize(('source', 'build'), [(timm_swin, swin), (timm_vit, deit)])
def test_fuzz(form: str, source: Callable, build: Callable, tmp_path: Path) -> None:
    """40 corrupted files each: an error with the path and an untouched model, or finite weights.

    A flipped bit within a weight cannot be told where the format has no check sums.
    """
    dump = {'pth': dump_pth, 'old pth': lambda weights: dump_pth(weights, False),
            'safetensors': save}[form]
    weights = tensors_of(source())
    data, dice, refused = dump(weights), random.Random(f'{form}{build.__name__}'), 0
    path = tmp_path / ('a.safetensors' if form == 'safetensors' else 'a.pth')
    model = build()
    before = state(model)
    for _ in range(40):
        path.write_bytes(corrupt(data, weights, dump, dice))
        try:
            load_pretrained(model, path)
            message = None
        except CheckpointError as error:
            message = str(error)
        if message is None:
            assert all(torch.isfinite(value).all() for value in model.parameters())
            model.load_state_dict(before)
        else:
            refused += 1
            assert re.search(f"'{re.escape(str(path))}': .{{20}}", message)
            assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert refused >= 20


def test_huge_shapes(tmp_path: Path) -> None:
    """Headers that promise terabytes."""
    header = (b'{"patch_embed.proj.weight":{"dtype":"F32","shape":[1000000,1000000],'
              b'"data_offsets":[0,4000000000000]}}')
    path = tmp_path / 'a.safetensors'
    path.write_bytes(struct.pack('<Q', len(header)) + header)
    assert_refused(swin(), path)
    path.write_bytes(struct.pack('<Q', 2**62) + b'{}')
    assert_refused(swin(), path)
    rebuild = torch._utils._rebuild_tensor_v2
    storage = torch.ones(1).untyped_storage()

    class Huge:
        def __reduce__(self) -> tuple:
            return rebuild, (torch.storage.TypedStorage(wrap_storage=storage, dtype=torch.float32,
                                                        _internal=True),
                             0, (10**6, 10**6), (10**6, 1), False, {})

    assert_refused(swin(), saved({'patch_embed.proj.weight': Huge()}, tmp_path / 'a.pth'))
    (tmp_path / 'b.pth').write_bytes(pickle.dumps({'a': 1}))
    assert_refused(swin(), tmp_path / 'b.pth')
