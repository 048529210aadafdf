"""Everything but plain eager work goes the plain way."""
import torch
from torch.utils.flop_counter import FlopCounterMode

from vit_plugin.backbones import DeiT
from vit_plugin.layers.paths import Path, choose_path


def test_eager() -> None:
    x = torch.ones(1)
    assert choose_path(x) is Path.TRAINING
    with torch.inference_mode():
        assert choose_path(x) is Path.CPU
        assert choose_path(torch.ones(1, device='meta')) is Path.PLAIN
        assert choose_path(torch.nn.Parameter(x)) is Path.PLAIN


def test_compiled_and_traced() -> None:
    seen = []

    def record(x: torch.Tensor) -> torch.Tensor:
        seen.append(choose_path(x))
        return x + 1

    with torch.no_grad():
        torch.jit.trace(record, torch.ones(1), check_trace=False)
        assert seen == [Path.PLAIN]
        compiled = torch.compile(lambda x: x + (choose_path(x) is Path.PLAIN), backend='eager',
                                 fullgraph=True)
        assert compiled(torch.ones(1)) == 2


def test_operators_can_be_counted() -> None:
    """A counter sees none of the operators that inference has instead of torch's."""
    model = DeiT(dict(embed_dims=32, num_layers=1, num_heads=2, feedforward_channels=64),
                 img_size=32)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.ones(1, 3, 32, 32))
    # 5 tokens times projections of 3, 1, 2 and 2 times 32 x 32; 4 patches of 768 values
    assert counter.get_total_flops() >= 2 * (5 * 8 * 32 * 32 + 4 * 768 * 32)
