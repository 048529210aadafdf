"""Which back-ends are allowed, and when the operators are left as they are."""
from collections.abc import Iterator
from contextlib import nullcontext

import pytest
import torch
from torch.autograd import forward_ad
from torch.overrides import BaseTorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

import vit_plugin
from vit_plugin.backbones import DeiT, SwinTransformer
from vit_plugin.ops import backends
from vit_plugin.ops.backends import BACKENDS, allowed, backend
from vit_plugin.ops.choice import mode_of


@pytest.fixture
def _every_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if the machine could run them all."""
    monkeypatch.setattr(backends, 'why_not', lambda name: None)
    backends.from_environment.cache_clear()
    yield
    backends.from_environment.cache_clear()


@pytest.mark.usefixtures('_every_machine')
def test_backend_allows_what_it_names() -> None:
    assert allowed() == {'cpu', 'recompute'}
    with vit_plugin.backend('reference'):
        assert not allowed()
        with vit_plugin.backend('cpu', 'triton'):
            assert allowed() == {'cpu', 'triton'}
        assert not allowed()
    assert 'cpu' in allowed()


@pytest.mark.usefixtures('_every_machine')
@pytest.mark.parametrize(('value', 'expected'), [
    ('reference', set()), ('recompute, triton', {'recompute', 'triton'}),
    ('', {'cpu', 'recompute'})])
def test_environment(value: str, expected: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('VIT_PLUGIN_BACKEND', value)
    assert allowed() == expected
    with backend('cpu'):
        assert allowed() == {'cpu'}


def test_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="backend: there is no back-end 'cuda': choose from ref"), \
            backend('cuda'):
        pass
    monkeypatch.setenv('VIT_PLUGIN_BACKEND', 'cpu,gpu')
    with pytest.raises(ValueError, match="VIT_PLUGIN_BACKEND: there is no back-end 'gpu'"):
        allowed()
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="'triton' cannot run here: there is no GPU"), \
                backend('triton'):
            pass


def test_everybody_who_sees_the_operators_is_noticed() -> None:
    x = torch.ones(1)
    assert mode_of(x) == 'training'
    with torch.device('meta'):  # sets where tensors are made, and sees nothing
        assert mode_of(x) == 'training'
    with torch.inference_mode():
        assert mode_of(x) == 'inference'
    assert mode_of(torch.nn.Parameter(x)) == 'recorded'
    seen = []

    def record(x: torch.Tensor) -> torch.Tensor:
        seen.append(mode_of(x))
        return x + 1

    with BaseTorchFunctionMode():
        record(x)
    assert seen == ['recorded']
    seen.clear()
    torch.jit.trace(record, x, check_trace=False)
    torch.func.vmap(record)(x)
    torch.func.grad(lambda x: record(x).sum())(x)
    torch.func.jvp(record, (x,), (x,))
    torch.func.functionalize(record)(x)
    with forward_ad.dual_level():
        record(forward_ad.make_dual(x, x))
    with FlopCounterMode(display=False):
        record(x)
    assert seen == ['products'] * 7
    modes = ('recorded', 'compiled')
    compiled = torch.compile(lambda x: x + modes.index(mode_of(x)), backend='eager', fullgraph=True)
    assert compiled(x) == 1
    with torch.no_grad():
        has_inference = hasattr(torch.compiler, 'is_exporting')  # torch < 2.7 does not tell export
        assert compiled(x) == 1 + has_inference


@pytest.mark.parametrize('grad', [True, False])
@pytest.mark.parametrize('allowed', ['reference', *BACKENDS])
def test_results_are_the_references(allowed: str, grad: bool) -> None:
    if backends.why_not(allowed) is not None:
        pytest.skip(backends.why_not(allowed))
    arch = dict(embed_dims=16, depths=(2, 2), num_heads=(2, 4))
    model = SwinTransformer(arch, window_size=3, out_indices=(0, 1), drop_path_rate=0.)
    image = torch.randn(2, 3, 52, 45)
    for names in (('reference',), (allowed,)):
        with backend(*names), nullcontext() if grad else torch.no_grad():
            outs = model(image)
        found = [*outs]
        if grad:
            sum(out.pow(3).sum() for out in outs).backward()
            found += [p.grad for p in model.parameters()]
            model.zero_grad()
        if names == ('reference',):
            expected = found
    for a, b in zip(expected, found):
        assert (a - b).abs().max() <= 1e-5 * a.abs().max()


@pytest.mark.parametrize('make', [
    lambda: SwinTransformer(dict(embed_dims=16, depths=(1,), num_heads=(2,)), window_size=4,
                            out_indices=0),
    lambda: DeiT(dict(embed_dims=32, num_layers=1, num_heads=2, feedforward_channels=64),
                 img_size=32, out_type='featmap')], ids=['swin', 'deit'])
def test_attention_is_counted(make: object) -> None:
    """Traces, and so mmengine's counter, do not count a fused attention."""
    from mmengine.analysis import get_model_complexity_info
    model = make().eval()
    image = torch.ones(1, 3, 32, 32)
    n, heads_dim = (16, 16) if isinstance(model, SwinTransformer) else (5, 32)
    attention = 2 * n * n * heads_dim * (4 if isinstance(model, SwinTransformer) else 1)
    found = get_model_complexity_info(model, (3, 32, 32), show_table=False, show_arch=False)
    with FlopCounterMode(display=False) as counter:
        model(image)
    linear = sum(p.numel() for name, p in model.named_parameters()
                 if p.ndim == 2 and 'table' not in name) * (64 if n == 16 else 5)
    patches = model.patch_embed.projection.weight.numel() * (64 if n == 16 else 4)
    assert counter.get_total_flops() == 2 * (linear + patches + attention)
    by_operator = found['flops']
    assert linear + patches + attention <= by_operator <= 1.3 * (linear + patches + attention)

