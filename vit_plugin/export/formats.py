"""Formats of exported files: how each is written."""
import io
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.export import ExportedProgram

from vit_plugin.errors import UserError

from .deployed import Deployed

DIMS = ('batch', 'channels', 'height', 'width')
KEY = 'vit_plugin'  # of the metadata in a file

Metadata = Mapping[str, Any]


def write_onnx(program: ExportedProgram, model: Deployed, metadata: Metadata, path: Path) -> None:
    """Write an ONNX file with names of its dimensions, and metadata as JSON under `KEY`.

    Raises:
        UserError: ONNX has no operator for a part of the model.
    """
    try:
        exported = torch.onnx.export(program, dynamo=True, verbose=False, input_names=['image'],
                                     output_names=list(model.outputs),
                                     dynamic_shapes=(dynamic_dims(program),))
    except torch.onnx.errors.OnnxExporterError as error:
        raise UserError(f'ONNX cannot express the model: {missing_operator(error)}') from error
    assert exported is not None
    exported.model.metadata_props[KEY] = json.dumps(metadata)
    exported.save(path)


def dynamic_dims(program: ExportedProgram) -> dict[int, str]:
    """Dimension -> name, of the dimensions of the image that are no numbers."""
    user_input = program.graph_signature.user_inputs[0]
    image = next(node for node in program.graph.nodes if node.name == user_input)
    sides = image.meta['val'].shape
    return {dim: DIMS[dim] for dim, side in enumerate(sides) if not isinstance(side, int)}


def missing_operator(error: BaseException | None) -> str:
    """The operators that an exporter's error names, or its first line."""
    text = ''
    while error is not None:
        text += f'{error}\n'
        error = error.__cause__
    names = sorted(set(re.findall(r"No ONNX function found for <OpOverload\(op='([\w.]+)'", text)))
    if names:
        return f'there is no operator for {", ".join(names)}'
    return text.strip().splitlines()[0]


def write_openvino(program: ExportedProgram, model: Deployed, metadata: Metadata,
                   path: Path) -> None:
    """Write OpenVINO's .xml with its .bin, by way of ONNX."""
    onnx = path.with_suffix('.onnx')
    write_onnx(program, model, metadata, onnx)
    convert_onnx(onnx, metadata, path)
    onnx.unlink()


def convert_onnx(onnx: Path, metadata: Metadata, path: Path) -> None:
    """Convert an ONNX file to OpenVINO's .xml and .bin; weights stay in float32.

    Raises:
        UserError: OpenVINO has no operator for a part of the model.
    """
    import openvino

    try:
        converted = openvino.convert_model(onnx)
    except RuntimeError as error:
        reason = ' '.join(str(error).split())[:300]
        raise UserError(f'OpenVINO cannot express the model: {reason}') from error
    converted.set_rt_info(json.dumps(metadata), [KEY])
    openvino.save_model(converted, path, compress_to_fp16=False)


def write_pt2(program: ExportedProgram, model: Deployed, metadata: Metadata, path: Path) -> None:
    """Write a program for torch.export.load; metadata is its extra file ``vit_plugin.json``."""
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files={f'{KEY}.json': json.dumps(metadata)})
    path.write_bytes(buffer.getvalue())


class Format(NamedTuple):
    """Ending of a format's files, libraries that writing and running it need, and its writer."""

    ending: str
    libraries: tuple[str, ...]
    write: Callable[[ExportedProgram, Deployed, Metadata, Path], None]


FORMATS = {
    'onnx': Format('.onnx', ('onnx', 'onnxscript', 'onnxruntime'), write_onnx),
    'openvino': Format('.xml', ('onnx', 'onnxscript', 'openvino'), write_openvino),
    'pt2': Format('.pt2', (), write_pt2),
}
