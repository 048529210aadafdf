"""Traced, exported and compiled models are right at other batch sizes, and never silently wrong."""
from contextlib import nullcontext
from inspect import signature
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from registered import CLASSES, Case, assert_close, flatten, image, loss
from torch._dynamo.testing import CompileCounterWithBackend
from torch.export import Dim

SIZE = (72, 64)
# other numbers of pixels, the same number, and another padding of the same number of patches
OTHERS = [(96, 80), (64, 72), (70, 64), (1, 1)]

needs_dynamic_onnx = pytest.mark.skipif(
    'dynamic_shapes' not in signature(torch.onnx.export).parameters,
    reason='torch 2.4 exports to ONNX without dynamic_shapes')


@pytest.mark.filterwarnings('ignore::torch.jit.TracerWarning')
def test_trace(case: Case) -> None:
    """Stock Swin, traced at batch 1, is wrong by 10 % and more at batch 2, without an error."""
    for with_cp in (False, True):
        model = case.build(with_cp=with_cp).eval()
        traced = torch.jit.trace(model, image(1, *SIZE), check_trace=False)
        with torch.no_grad():
            for batch in (2, 3):
                images = image(batch, *SIZE)
                assert_close(flatten(traced(images)), flatten(model(images)), 1e-4)
            for size in OTHERS:
                with pytest.raises(RuntimeError, match=r'split_sizes=\[(72|64)\]'):
                    traced(image(2, *size))
            with pytest.raises(RuntimeError, match=r'split_sizes=\[3\]'):
                traced(image(2, *SIZE)[:, :1])


@pytest.mark.parametrize('grad', [True, False])
def test_export(backbone: Case, grad: bool) -> None:
    model = backbone.build().eval()
    with torch.set_grad_enabled(grad):
        # torch itself makes a batch of 1 static unless told not to; torch.onnx tells it
        config = torch.fx.experimental._config
        is_told = hasattr(config, 'backed_size_oblivious')  # torch 2.4 cannot be
        with config.patch(backed_size_oblivious=True) if is_told else nullcontext():
            exported = torch.export.export(model, (image(1 if is_told else 2, *SIZE),),
                                           dynamic_shapes=({0: Dim('batch')},)).module()
        for batch in (1, 2, 3) if is_told else (2, 3):
            images = image(batch, *SIZE)
            assert_close(flatten(exported(images)), flatten(model(images)), 1e-4)
        for size in OTHERS:
            with pytest.raises((AssertionError, RuntimeError), match=r'[x\]]\.(size\(\)|shape)'):
                exported(image(2, *size))


@needs_dynamic_onnx
def test_onnx(backbone: Case, tmp_path: Path) -> None:
    model = backbone.build(out_indices=(0, 1)).eval()
    path = tmp_path / 'model.onnx'
    torch.onnx.export(model, (image(1, *SIZE),), dynamo=True, verbose=False,
                      dynamic_shapes=({0: 'batch'},)).save(path)
    session = onnxruntime.InferenceSession(path)
    name = session.get_inputs()[0].name

    def run(images: torch.Tensor) -> list[torch.Tensor]:
        return [torch.from_numpy(x) for x in session.run(None, {name: images.numpy()})]

    for batch in (1, 2):
        images = image(batch, *SIZE)
        with torch.no_grad():
            assert_close(run(images), flatten(model(images)), 1e-4)
    for size in OTHERS:
        with pytest.raises(Exception, match='Got invalid dimensions for input'):
            run(image(2, *size))


@pytest.fixture
def fresh_compiler() -> Any:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.usefixtures('fresh_compiler')
def test_compile(backbone: Case) -> None:
    """No graph break, and one recompilation at most for all sizes, padded or not."""
    model = backbone.build(out_indices=(0, 1)).eval()
    counter = CompileCounterWithBackend('eager')
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend=counter)
    # maps of one row of windows, 8 or less, would be compiled apart
    sizes = [(72, 80), (71, 77), (96, 130), (224, 224), (225, 230)]
    # torch 2.4 compiles for each size, minutes long
    for size in sizes[:2] if torch.__version__ < '2.5' else sizes:
        with torch.no_grad():
            assert_close(flatten(compiled(image(2, *size))), flatten(model(image(2, *size))), 1e-6)
    assert counter.frame_count <= 2


@pytest.mark.usefixtures('fresh_compiler')
def test_compile_training(backbone: Case) -> None:
    arguments = dict(out_indices=0, with_cp=True, drop_rate=0.1, drop_path_rate=0.1)
    model = backbone.build(**arguments).train()
    compiled = torch.compile(model, fullgraph=True, backend='aot_eager')
    loss(compiled(image(2, 40, 40))).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_classes_are_found() -> None:
    names = {case.cls.__name__ for case in CLASSES}
    assert {'DeiT', 'DistilledDeiT', 'SwinTransformer', 'SwinTransformerV2'} <= names
