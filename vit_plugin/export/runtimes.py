"""Exported files as functions of NumPy arrays, run by their runtimes on the CPU."""
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from vit_plugin.errors import UserError

# RGB pixels (B, 3, H, W), float32 -> the outputs by their names.
Run = Callable[[np.ndarray], dict[str, np.ndarray]]


def open_onnx(path: Path) -> Run:
    """The function of an ONNX file, by ONNX Runtime.

    Raises:
        UserError: ONNX Runtime lacks an operator.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        session = onnxruntime.InferenceSession(path, options, ['CPUExecutionProvider'])
    except Exception as error:  # its exceptions share no other base
        reason = ' '.join(str(error).split())[:300]
        raise UserError(f'ONNX Runtime cannot run the exported model: {reason}') from error
    names = [output.name for output in session.get_outputs()]

    def run(image: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(names, session.run(None, {'image': image})))
    return run


def open_openvino(path: Path, precision: str = 'f32') -> Run:
    """The function of an OpenVINO or ONNX file, by OpenVINO.

    Args:
        path: .xml or .onnx.
        precision: To compute in: ``'f32'``, ``'bf16'`` or ``'f16'``.

    Raises:
        UserError: OpenVINO lacks an operator.
    """
    import openvino

    settings = dict(INFERENCE_PRECISION_HINT=precision,
                    INFERENCE_NUM_THREADS=torch.get_num_threads())
    try:
        compiled = openvino.compile_model(path, 'CPU', settings)
    except RuntimeError as error:
        reason = ' '.join(str(error).split())[:300]
        raise UserError(f'OpenVINO cannot run the exported model: {reason}') from error
    names = [output.any_name for output in compiled.outputs]

    def run(image: np.ndarray) -> dict[str, np.ndarray]:
        found = compiled(image)
        return {name: np.array(found[name]) for name in names}
    return run


def open_pt2(path: Path, names: tuple[str, ...]) -> Run:
    """The function of a program of torch.export."""
    module = torch.export.load(path).module()

    def run(image: np.ndarray) -> dict[str, np.ndarray]:
        with torch.no_grad():
            found = module(torch.from_numpy(image))
        return {name: output.numpy() for name, output in zip(names, found)}
    return run


def open_file(path: Path, names: tuple[str, ...]) -> Run:
    """The function of an exported file, which its ending tells.

    Args:
        path: .onnx, .xml or .pt2.
        names: Of the outputs.
    """
    if path.suffix == '.onnx':
        return open_onnx(path)
    if path.suffix == '.xml':
        return open_openvino(path)
    return open_pt2(path, names)
