"""The Triton kernel gives what the plain way gives: on a GPU, and in Triton's interpreter."""
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from vit_plugin.layers import ShiftedWindowAttention, WindowAttention
from vit_plugin.ops import backend, choose, window_attention
from vit_plugin.ops.choice import triton_window_attention

triton = pytest.importorskip('triton')

# Fewer tokens than a block, the fewest, more than a block; with channels of a head.
WINDOWS = {(7, 7): 32, (2, 3): 12, (8, 9): 16}


def sizes(height: int, width: int) -> list[tuple[int, int, int]]:
    """(batch, height, width) of maps: of whole windows, padded, and smaller than a window."""
    return [(2, 2 * height, width), (1, height + 1, 2 * width - 1), (3, height - 1, width - 1)]


def compare(device: str, dtype: torch.dtype, tolerance: float) -> None:
    """Raise unless the kernel equals the reference everywhere."""
    for window, dim in WINDOWS.items():
        for shift in ((0, 0), (window[0] // 2, window[1] // 2)):
            torch.manual_seed(0)
            layer = ShiftedWindowAttention(WindowAttention(2 * dim, 2, window), shift, True)
            torch.nn.init.normal_(layer.w_msa.relative_position_bias_table)
            torch.nn.init.normal_(layer.w_msa.qkv.bias)  # what padding attends with
            layer.to(device, dtype)
            for size in sizes(*window):
                x = torch.randn(*size, 2 * dim).to(device, dtype)
                with torch.no_grad():
                    with backend('reference'):
                        expected = layer(x)
                    with backend('triton'):
                        assert choose(window_attention, x) is triton_window_attention
                        found = layer(x)
                worst = (found - expected).abs().max() / expected.abs().max()
                assert worst <= tolerance, (window, size, shift, worst)


def test_interpreted() -> None:
    """Triton reads the variable when a kernel is defined, hence another process."""
    subprocess.run([sys.executable, '-m', 'tests.ops.test_triton'], check=True, timeout=300,
                   cwd=Path(__file__).parents[2], env={**os.environ, 'TRITON_INTERPRET': '1'})


@pytest.mark.parametrize(('dtype', 'tolerance'), [('float32', 1e-5), ('bfloat16', 2e-2)])
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_on_a_gpu(dtype: str, tolerance: float) -> None:
    compare('cuda', getattr(torch, dtype), tolerance)


@pytest.mark.parametrize('capability', [80, 90])
@pytest.mark.parametrize('window', [(7, 7), (12, 12)], ids=str)
def test_compiles_for_gpus(window: tuple[int, int], capability: int) -> None:
    """The interpreter takes what the compiler does not; that one needs no GPU."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from vit_plugin.ops.triton import attend
    constants = dict(WINDOW_H=window[0], WINDOW_W=window[1], HEADS=3, DIM=32, DIM_BLOCK=32,
                     BLOCK=64, SHIFTED=True, MASK=-1e4)
    types = {name: '*bf16' if name in ('qkv', 'padding', 'bias', 'out') else 'i32'
             for name in attend.arg_names}
    source = ASTSource(attend, {**types, 'scale': 'fp32', **dict.fromkeys(constants, 'constexpr')},
                       constants)
    compiled = triton.compile(source, target=GPUTarget('cuda', capability, 32))
    assert compiled.asm['cubin']


if __name__ == '__main__':
    compare('cpu', torch.float32, 1e-5)
