"""Compiled inference on the CPU calls the groups of tokens as operators, and only there."""
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import pytest
import torch
from torch import Tensor, nn

import vit_plugin
from vit_plugin.layers import FeedForward, ShiftedWindowAttention, SwinBlock, WindowAttention
from vit_plugin.ops import cpu

# torch < 2.7 does not tell export, whose graph must not hold them.
OPERATORS = (['vit_plugin.window_self_attention', 'vit_plugin.mlp']
             if hasattr(torch.compiler, 'is_exporting') else [])


@pytest.fixture
def _fresh_compiler() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def compile_and_run(block: nn.Module, x: Tensor) -> tuple[list[str], Tensor]:
    """The plugin's operators in the compiled block, and its result."""
    found: list[str] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable:
        found.extend(name for node in graph.graph.nodes
                     if (name := str(node.target).removesuffix('.default')
                         ).startswith('vit_plugin'))
        return graph

    return found, torch.compile(block, fullgraph=True, backend=backend)(x)


@pytest.mark.usefixtures('_fresh_compiler')
@pytest.mark.parametrize(('grad', 'context', 'expected'), [
    (False, nullcontext, OPERATORS),
    (True, nullcontext, []),
    (False, partial(vit_plugin.backend, 'reference'), []),
    (False, partial(torch.autocast, 'cpu', torch.bfloat16), []),
], ids=['inference', 'training', 'reference', 'autocast'])
def test_where_they_are_called(grad: bool, context: Callable[[], AbstractContextManager],
                               expected: list[str]) -> None:
    torch.manual_seed(0)
    attn = ShiftedWindowAttention(WindowAttention(32, 2, (4, 4)), (2, 2))
    block, x = SwinBlock(32, attn, FeedForward(32, 128)), torch.randn(2, 9, 10, 32)
    with torch.set_grad_enabled(grad), context():
        found, out = compile_and_run(block, x)
        assert found == expected
        # Eager attention in bfloat16 may be by other operators.
        tolerance = 2e-2 if torch.is_autocast_enabled('cpu') else 1e-5
        torch.testing.assert_close(out, block(x), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize('batch', [2, 0])
def test_operators_say_the_shape_of_their_result(batch: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(batch, 9, 10, 32)
    parameters = [torch.randn(shape) for shape in ((96, 32), (96,), (32, 32), (32,), (2, 16, 16))]
    checks = ('test_schema', 'test_faketensor')
    with torch.no_grad():
        torch.library.opcheck(cpu.attention.operator,
                              (x, *parameters, (4, 4), (2, 2), None), test_utils=checks)
        torch.library.opcheck(cpu.mlp.operator, (x, *parameters[:2], torch.randn(16, 96), None),
                              test_utils=checks)
