"""Registration: no custom_imports, any order, and clear words where a library is absent."""
import subprocess
import sys

import pytest

from tests.conftest import needs

BLOCK = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in {blocked}:
            raise ModuleNotFoundError(f"No module named '{{name}}'", name=name)
sys.meta_path.insert(0, Block())
"""
SWIN = ("dict(type='vit_plugin.SwinTransformer', out_indices=0, "
        'arch=dict(embed_dims=8, depths=(1,), num_heads=(1,)))')


def python(code: str) -> str:
    """Run code in a process of its own and return what it prints."""
    result = subprocess.run([sys.executable, '-W', 'ignore', '-c', code],
                            capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip().splitlines()[-1]


@pytest.mark.parametrize('order', [
    ('mmpretrain', 'mmdet', 'mmseg'),
    ('mmseg', 'vit_plugin.registry', 'mmpretrain', 'mmdet')])
def test_toolkits_in_any_order(order: tuple[str, ...]) -> None:
    needs('mmpretrain', 'mmdet', 'mmseg')
    build = ''.join(f'from {name}.registry import MODELS as {name}_models\n'
                    f'import {name}.models\n'
                    f'print({name}_models.build({SWIN}).__module__)\n'
                    for name in ('mmpretrain', 'mmdet', 'mmseg'))
    imports = ''.join(f'import {name}\n' for name in order)
    assert python(imports + build) == 'vit_plugin.backbones.swin'


def test_works_with_torch_and_mmengine_alone() -> None:
    blocked = ('mmcv', 'mmpretrain', 'mmdet', 'mmseg', 'cv2', 'transformers', 'timm', 'torchvision')
    code = BLOCK.format(blocked=blocked) + (
        'from mmengine.registry import MODELS\n'
        'import vit_plugin\n'
        f'print(type(MODELS.build({SWIN})).__name__)\n')
    assert python(code) == 'SwinTransformer'


def test_names_the_missing_library() -> None:
    code = BLOCK.format(blocked=('mmpretrain',)) + (
        'from mmengine.registry import MODELS\n'
        "for name in ('SwinTransfromer', 'DistilledClassifier'):\n"
        '    try:\n'
        "        MODELS.build(dict(type=f'vit_plugin.{name}'))\n"
        '    except ImportError as error:\n'
        "        print(str(error).replace('\\n', ' '), end='')\n")
    message = python(code)
    assert "'DistilledClassifier'" in message
    assert "vit_plugin.distillation.classifier needs 'mmpretrain'" in message
    assert 'pip install' in message
    assert "Did you mean 'SwinTransformer' or 'SwinTransformerV2'?" in message


def test_backbones_come_without_loading_mmpretrain() -> None:
    code = (f'import sys\nfrom mmengine.registry import MODELS\nMODELS.build({SWIN})\n'
            "print('mmpretrain' in sys.modules)")
    assert python(code) == 'False'


def test_misspelt_name_is_a_key_error() -> None:
    from mmengine.registry import MODELS
    needs('mmpretrain', 'mmdet', 'mmseg')
    with pytest.raises(KeyError, match='SwinTransfromer'):
        MODELS.build(dict(type='vit_plugin.SwinTransfromer'))
