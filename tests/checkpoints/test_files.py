"""Files in parts, folders, and files that are something else than they are taken for."""
import json
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from vit_plugin.checkpoints import CheckpointError, load_pretrained, read_state_dict

from .checkpoint_models import assert_stages_equal, deit, hf_swin, hf_vit, swin, timm_vit


@pytest.mark.parametrize(('cls', 'build'), [('SwinForImageClassification', swin),
                                            ('DeiTForImageClassification', deit)])
@pytest.mark.parametrize('safe', [True, False], ids=['safetensors', 'bin'])
@pytest.mark.parametrize('shard', ['20KB', '1GB'])
def test_folder_of_hugging_face(cls: str, build, safe: bool, shard: str, tmp_path: Path) -> None:
    """As `save_pretrained` writes it, whole or in parts; the folder or its index is given."""
    theirs = (hf_swin if cls.startswith('Swin') else hf_vit)(cls)
    theirs.save_pretrained(tmp_path, max_shard_size=shard, safe_serialization=safe)
    indices = list(tmp_path.glob('*.index.json'))
    assert len(indices) == (shard == '20KB')
    for path in [tmp_path, *indices]:
        ours = build()
        load_pretrained(ours, path)
        assert_equal_weights(theirs, ours)


def assert_equal_weights(theirs: nn.Module, ours: nn.Module) -> None:
    if isinstance(ours, type(swin())):
        assert_stages_equal(theirs, ours)
    else:  # theirs has a distillation token more
        layers = [module for name, module in theirs.named_modules()
                  if name.endswith(('output.dense', 'mlp.fc2')) and 'attention' not in name]
        for a, b in zip(layers, ours.layers, strict=True):
            assert torch.equal(a.weight, b.ffn.layers[1].weight)


def sharded(path: Path) -> Path:
    """timm's weights in two parts: the index."""
    weights = {key: value.contiguous() for key, value in timm_vit().state_dict().items()}
    names = list(weights)
    parts = {f'model-{i}-of-2.safetensors': names[i - 1::2] for i in (1, 2)}
    for part, keys in parts.items():
        save_file({key: weights[key] for key in keys}, path / part)
    index = path / 'any.safetensors.index.json'
    index.write_text(json.dumps({'metadata': {}, 'weight_map': {
        key: part for part, keys in parts.items() for key in keys}}))
    return index


def test_parts_beside_an_index(tmp_path: Path) -> None:
    theirs, ours = timm_vit(), deit()
    load_pretrained(ours, sharded(tmp_path))
    assert_stages_equal(theirs, ours)


@pytest.mark.parametrize(('wrong', 'message'), [
    ('absent', "names the part 'model-2-of-2.safetensors', which is not beside it"),
    ('outside', r"names the part '\.\./model-2-of-2.safetensors', which is not beside it"),
    ('incomplete', 'names 1 tensors that its parts have not'),
    ('damaged', 'damaged'),
    ('no index', "no index of a checkpoint in parts, which has a 'weight_map'"),
    ('no json', "no index of a checkpoint in parts, which has a 'weight_map'")])
def test_wrong_parts(wrong: str, message: str, tmp_path: Path) -> None:
    folder = tmp_path / 'model'
    folder.mkdir()
    index = sharded(folder)
    second, content = folder / 'model-2-of-2.safetensors', json.loads(index.read_text())
    names = content['weight_map']
    if wrong == 'absent':
        second.unlink()
    elif wrong == 'outside':
        second.rename(tmp_path / second.name)
        content['weight_map'] = {key: part.replace('model-2', '../model-2')
                                 for key, part in names.items()}
    elif wrong == 'incomplete':
        names['another.weight'] = second.name
    elif wrong == 'damaged':
        second.write_bytes(second.read_bytes()[:-100])
    elif wrong == 'no index':
        content = [1]
    index.write_text('{' if wrong == 'no json' else json.dumps(content))
    with pytest.raises(CheckpointError, match=message) as error:
        read_state_dict(index)
    assert str(index) in str(error.value)


def test_folder_without_weights(tmp_path: Path) -> None:
    (tmp_path / 'tf_model.h5').write_bytes(b'\x89HDF\r\n\x1a\n')
    with pytest.raises(CheckpointError, match=r'none of model\.safetensors, .*has tf_model\.h5'):
        read_state_dict(tmp_path)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(CheckpointError, match='has no files'):
        read_state_dict(tmp_path / 'empty')


def detectron2() -> bytes:
    """As its model zoo pickles a model: NumPy arrays, and who made it."""
    return pickle.dumps({'model': {'backbone.bottom_up.stem.conv1.weight': np.ones(3, np.float32)},
                         '__author__': 'Detectron2 Model Zoo'}, protocol=2)


def npz(path: Path) -> None:
    np.savez(path, **{'embedding/kernel': np.ones(3, np.float32)})


def script(path: Path) -> None:
    with zipfile.ZipFile(path, 'w') as archive:
        for name in ('data.pkl', 'code/__torch__.py', 'constants.pkl', 'version'):
            archive.writestr(f'archive/{name}', b'')


@pytest.mark.parametrize(('name', 'content', 'what'), [
    ('model_final.pkl', detectron2(), r"plain pickle, as detectron2's \.pkl are"),
    ('model_final.pth', detectron2(), r"plain pickle, as detectron2's \.pkl are"),
    ('a.pkl', pickle.dumps([1], protocol=0), 'plain pickle'),
    ('a.npz', npz, r'NumPy archive \(\.npz\), as of the ViTs of JAX'),
    ('tf_model.h5', b'\x89HDF\r\n\x1a\n', 'HDF5 file'),
    ('a.pt', script, 'TorchScript'),
    ('a.safetensors', b'version https://git-lfs.github.com/spec/v1\noid', 'pointer of Git LFS'),
    ('pytorch_model.bin', b'version https://git-lfs.github.com/spec/v1\noid', 'pointer of Git LFS'),
    ('a.pth', b'<!DOCTYPE html><html>', 'a web page'),
    ('a.pth', b'\n<html>', 'damaged, or no checkpoint')])
def test_other_files_are_named(name: str, content: object, what: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content) if isinstance(content, bytes) else content(path)
    with pytest.raises(CheckpointError, match=what) as error:
        read_state_dict(path)
    assert re.search(re.escape(f"'{path}': it is"), str(error.value))


def test_torchscript_as_torch_writes_it(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), str(tmp_path / 'a.pt'))
    with pytest.raises(CheckpointError, match='TorchScript'):
        read_state_dict(tmp_path / 'a.pt')


def test_what_the_message_on_pickles_says_works(tmp_path: Path) -> None:
    weights = {name: value.numpy() for name, value in timm_vit().state_dict().items()}
    (tmp_path / 'a.pkl').write_bytes(pickle.dumps({'model': weights}))
    with pytest.raises(CheckpointError) as error:
        read_state_dict(tmp_path / 'a.pkl')
    path, new_path = tmp_path / 'a.pkl', tmp_path / 'new.pth'
    code = re.search(r"content = .*?'rb'\)\)|content = .*?\"rb\"\)\)", str(error.value)).group()
    save = re.search(r'torch\.save\(.*new_path\)', str(error.value)).group()
    scope = dict(pickle=pickle, torch=torch, path=path, new_path=new_path)
    exec(f'{code}\n{save}', scope)
    ours = deit()
    load_pretrained(ours, new_path)
    assert_stages_equal(timm_vit(), ours)
