# SPDX-License-Identifier: Apache-2.0
"""Valid files with one operator that is not supported, anywhere in them: it is refused by its name,
and the file is called neither damaged nor a float model."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import numpy as np
import onnx
import pytest
import tflite
from keras_layers import NAMES, obstacle, parts, stored
from onnx import helper
from sound_files import onnx_files
from tiers import nightly_but

from tinytailor.compiler import load_model
from tinytailor.compiler.frontend.rules import ONNX, TFLITE
from tinytailor.compiler.frontend.tflite.constants import FOLDED
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.tvm]

COUNT, BATCH = 500, 25  # files of each format
FIRSTS = range(0, COUNT, BATCH)
BLAMED = ("damaged", "is a float model", "cannot be read")


def tflite_file(seed: int, folder: Path) -> tuple[Path, str]:
    """A layer of Keras with one more operator; inputs are left out, names missing at times."""
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    import flatbuffers

    rng = np.random.default_rng(seed)
    named = vars(tflite.BuiltinOperator)  # of the package that reads them
    kinds = {kind: code for kind, code in named.items() if kind.isupper()}
    with_subgraphs = ("PLACEHOLDER", "IF", "WHILE", "CALL")
    unknown = [
        kind
        for kind in sorted(kinds.keys() - TFLITE.keys() - set(FOLDED))
        if not kind.startswith(with_subgraphs)
    ]
    names = [name for name in NAMES if parts(name)[2] == "int8" and not obstacle(name)]
    model = schema.ModelT.InitFromPackedBuf(stored(names[rng.integers(len(names))]), 0)
    graph, kind = model.subgraphs[0], unknown[rng.integers(len(unknown))]
    code = schema.OperatorCodeT()
    code.builtinCode, code.version = kinds[kind], 1
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    if kind == "CUSTOM":
        code.customCode = kind = "Some_Detection"
    model.operatorCodes.append(code)
    quantized = [
        index
        for index, tensor in enumerate(graph.tensors)
        if index in graph.inputs or any(index in op.outputs for op in graph.operators)
        if tensor.type == schema.TensorType.INT8
    ]
    source = quantized[rng.integers(len(quantized))]
    result = deepcopy(graph.tensors[source])
    result.name = (b"new", b"", None)[rng.integers(3)]
    graph.tensors.append(result)
    operator, new = schema.OperatorT(), len(graph.tensors) - 1
    operator.opcodeIndex, operator.outputs = len(model.operatorCodes) - 1, [new]
    operator.inputs = [source, *rng.choice([-1, source], rng.integers(3)).tolist()]
    readers = [op for op in graph.operators if source in op.inputs]
    for reader in readers:
        reader.inputs = [new if index == source else index for index in reader.inputs]
    graph.outputs = [new if index == source else index for index in graph.outputs]
    made = [i for i, op in enumerate(graph.operators) if source in op.outputs]
    graph.operators.insert(made[0] + 1 if made else 0, operator)
    for tensor in graph.tensors:
        if tensor.quantization is not None and len(tensor.shape) == 1 and rng.random() < 0.5:
            tensor.quantization.quantizedDimension = 3  # as converters of 2020 had it
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path = folder / f"{seed}.tflite"
    path.write_bytes(bytes(builder.Output()))
    return path, kind


def plain(operator: onnx.defs.OpSchema) -> bool:
    """Whether it takes one tensor and gives one of the same type, without attributes."""
    return (
        operator.domain == ""
        and operator.name not in ONNX
        and not operator.deprecated
        and operator.min_input <= 1 <= operator.max_input
        and operator.min_output <= 1
        and not any(attribute.required for attribute in operator.attributes.values())
        and operator.inputs[0].type_str == operator.outputs[0].type_str
        and "tensor(float)" in operator.inputs[0].types
    )


def onnx_file(seed: int, folder: Path) -> tuple[Path, str]:
    rng = np.random.default_rng(seed)
    if not any(folder.glob("*.onnx")):
        onnx_files(folder)
    bases = sorted(path for path in folder.glob("*.onnx") if not path.stem.isdigit())
    model = onnx.load(bases[rng.integers(len(bases))])
    unknown = sorted({schema.name for schema in onnx.defs.get_all_schemas() if plain(schema)})
    kind, domain = unknown[rng.integers(len(unknown))], ""
    if rng.random() < 0.2:
        kind, domain = "Own", "com.example"
        model.opset_import.append(helper.make_opsetid(domain, 1))
    constants = {tensor.name for tensor in model.graph.initializer}
    real = [
        (place, node.output[0])
        for place, node in enumerate(model.graph.node)
        if node.op_type == "DequantizeLinear" and node.input[0] not in constants
    ]
    place, source = real[rng.integers(len(real))]
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = "new" if name == source else name
    inputs = [source, *[""] * int(rng.integers(2))]
    name = ("", "/block/own")[rng.integers(2)]
    model.graph.node.insert(place + 1, helper.make_node(kind, inputs, ["new"], name, domain=domain))
    for output in model.graph.output:
        output.name = "new" if output.name == source else output.name
    path = folder / f"{seed}.onnx"
    onnx.save(model, path)
    return path, f"{domain}.{kind}" if domain else kind


@pytest.mark.parametrize("first", nightly_but((0, BATCH), FIRSTS))
@pytest.mark.parametrize("make", [tflite_file, onnx_file])
def test_an_unknown_operator_is_refused_by_its_name(
    make: Callable[[int, Path], tuple[Path, str]], first: int, tmp_path: Path
) -> None:
    for seed in range(first, first + BATCH):
        path, operator = make(seed, tmp_path)
        with pytest.raises(InputError) as caught:
            load_model(path)
        text = str(caught.value)
        assert f"\n  {operator} " in text, (path.name, operator, text)
        assert not any(word in text for word in BLAMED), (path.name, operator, text)
