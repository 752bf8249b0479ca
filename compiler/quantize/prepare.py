# SPDX-License-Identifier: Apache-2.0
"""A float ONNX model in the form that schemes work on: opset 13 or newer, batch 1, constants and
batch norms folded, every tensor's type and shape known.

    batch norm:  y = g (x - m) / sqrt(v + e) + b = a x + c   per channel
    behind a layer   w' = a w, b' = a b + c
    alone, on a map  a depthwise 1 x 1 convolution with weights a and bias c
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from tinytailor.compiler import references
from tinytailor.compiler.frontend.onnx import equivalents, normalizations
from tinytailor.compiler.frontend.onnx.model_file import (
    DAMAGED,
    fix_batch,
    is_quantized,
    opened,
    opset,
)
from tinytailor.compiler.frontend.quiet import first_line
from tinytailor.targets.errors import InputError

OPSET = 13  # the first with DequantizeLinear per channel
WEIGHT_FORMS = ("Clip", "DequantizeLinear", "QuantizeLinear")
LAYERS = {"Conv": 0, "ConvTranspose": 1, "Gemm": 1}  # axis of the output channel in the weights


def prepared(data: bytes, path: Path) -> Any:
    """The model; InputError if it cannot be read, is quantized already, or cannot be run."""
    try:
        model = opened(data, path.parent)
        if is_quantized(model.graph):
            raise InputError(
                f"{path.name} is quantized already: calibration is for float models; compile it "
                "without --calibration"
            )
        fix_batch(model.graph, path.name)
        check_inputs(model.graph, path.name)
        model = at_opset(model, path.name)
    except InputError:
        raise
    except Exception as error:  # any bytes may be given: every failure is about the file
        raise InputError(f"{path.name} {DAMAGED} ({first_line(error)})") from None
    bypass_dropouts(model.graph)
    model = typed(optimized(model, path.name))
    equivalents.rewrite(model, equivalents.REWRITES)
    normalizations.rewrite(model, opset(model, "") >= normalizations.LAYER_OPSET)
    name_nodes(model.graph)
    scale_gemms(model.graph)
    fold_batch_norms(model.graph)
    return typed(model)


def check_inputs(graph: Any, file: str) -> None:
    """Floats, or pixels that the model casts to floats itself."""
    from onnx import TensorProto

    constants = {tensor.name for tensor in graph.initializer}
    cast = {node.input[0] for node in graph.node if node.op_type == "Cast"}
    for value in graph.input:
        kind = value.type.tensor_type.elem_type
        pixels = kind in (TensorProto.UINT8, TensorProto.INT8) and value.name in cast
        if value.name not in constants and kind != TensorProto.FLOAT and not pixels:
            name = TensorProto.DataType.Name(kind).lower()
            raise InputError(
                f"{file}: input {value.name} is {name}, expected float (32 bits), or uint8 or int8 "
                "with a Cast to float"
            )


def at_opset(model: Any, file: str) -> Any:
    import onnx

    if opset(model, "") >= OPSET:
        return model
    before = [str(value.type) for value in model.graph.input]
    try:
        raised = onnx.version_converter.convert_version(model, OPSET)
        if [str(value.type) for value in raised.graph.input] != before:
            raise ValueError("its inputs would become others")
    except Exception as error:
        raise InputError(
            f"{file}: its opset {opset(model, '')} cannot be raised to {OPSET} "
            f"({first_line(error)}); export the model with opset {OPSET} or newer"
        ) from None
    return raised


def optimized(model: Any, file: str) -> Any:
    """onnxruntime's basic optimizations: constant folding, batch norm behind convolution."""
    del model.graph.value_info[:]  # what the file says may hold another batch
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    try:
        real_weights(model)
        result = references.optimized(model, "ORT_ENABLE_BASIC")
    except Exception as error:
        raise InputError(f"{file}: onnxruntime cannot run it ({first_line(error)})") from None
    if not result.graph.node:
        raise InputError(f"{file} computes nothing: its outputs are its inputs or constants")
    name_nodes(result.graph)
    return result


def name_nodes(graph: Any) -> None:
    """Every node has a name, its own: what quantization adds is named after it."""
    taken: Counter[str] = Counter()
    for node in graph.node:
        base = node.name or next((name for name in node.output if name), node.op_type)
        taken[base] += 1
        node.name = base if taken[base] == 1 else f"{base}_{taken[base]}"


def typed(model: Any) -> Any:
    import onnx

    del model.graph.value_info[:]
    return onnx.shape_inference.infer_shapes(model, data_prop=True)


class Constants:
    """The initializers of a graph by name, read and replaced as arrays."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph
        self.places = {tensor.name: i for i, tensor in enumerate(graph.initializer)}
        self.taken = set(self.places)
        for node in graph.node:
            self.taken.update((*node.input, *node.output))

    def __contains__(self, name: str) -> bool:
        return name in self.places

    def array(self, name: str) -> np.ndarray:
        from onnx import numpy_helper

        array: np.ndarray = numpy_helper.to_array(self.graph.initializer[self.places[name]])
        return array

    def fresh(self, name: str) -> str:
        """``name`` or one like it that nothing in the graph is called yet."""
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name

    def add(self, name: str, array: np.ndarray) -> str:
        """A new constant, called ``name`` or like it."""
        from onnx import numpy_helper

        name = self.fresh(name)
        tensor = numpy_helper.from_array(np.asarray(array, order="C"), name)
        self.places[name] = len(self.graph.initializer)
        self.graph.initializer.append(tensor)
        return name


def attribute(node: Any, name: str, default: Any) -> Any:
    from onnx import helper

    found = [item for item in node.attribute if item.name == name]
    return helper.get_attribute_value(found[0]) if found else default


def real_weights(model: Any) -> None:
    """Weights that are stored as integers become the real numbers that they stand for."""
    import onnx
    from onnx import numpy_helper

    known = {tensor.name for tensor in model.graph.initializer}
    inside: list[Any] = []
    outside: list[Any] = []
    for node in model.graph.node:
        constant = node.op_type in WEIGHT_FORMS and all(name in known for name in node.input)
        (inside if constant else outside).append(node)
        known.update(node.output if constant else ())
    if not inside:
        return
    part = onnx.ModelProto()
    part.CopyFrom(model)
    names = [name for node in inside for name in node.output]
    results = [onnx.ValueInfoProto(name=name) for name in names]
    for values, new in ((part.graph.node, inside), (part.graph.output, results)):
        del values[:]
        values.extend(new)
    del part.graph.input[:]
    arrays = references.onnx_session(part).run(names, {})
    model.graph.initializer.extend(map(numpy_helper.from_array, arrays, names))
    del model.graph.node[:]
    model.graph.node.extend(outside)


def bypass_dropouts(graph: Any) -> None:
    """A dropout that is not training passes its input on."""
    for node in graph.node:
        if node.op_type == "Dropout" and len(node.output) == 1 and len(node.input) < 3:
            node.op_type = "Identity"
            del node.input[1:]
            del node.attribute[:]


def scale_gemms(graph: Any) -> None:
    """alpha and beta of a dense layer become part of its weights and bias."""
    constants = Constants(graph)
    for node in graph.node:
        factors = {"alpha": attribute(node, "alpha", 1.0), "beta": attribute(node, "beta", 1.0)}
        if node.op_type != "Gemm" or set(factors.values()) == {1.0}:
            continue
        operands = list(zip(node.input[1:], factors.values(), strict=False))
        if not all(name in constants for name, factor in operands if name and factor != 1.0):
            continue
        for place, (name, factor) in enumerate(operands, 1):
            if name and factor != 1.0:
                scaled = constants.array(name) * np.float32(factor)
                node.input[place] = constants.add(f"{name}_scaled", scaled)
        kept = [item for item in node.attribute if item.name not in factors]
        del node.attribute[:]
        node.attribute.extend(kept)


def fold_batch_norms(graph: Any) -> None:
    """Every batch norm with constant statistics, into the layer before it or as a convolution."""
    from onnx import helper

    constants = Constants(graph)
    uses = Counter(name for node in graph.node for name in node.input)
    uses.update(value.name for value in graph.output)
    producers = {name: node for node in graph.node for name in node.output}
    nodes = []
    for node in graph.node:
        known = node.op_type == "BatchNormalization" and len(node.output) == 1
        if not known or not all(name in constants for name in node.input[1:5]):
            nodes.append(node)
            continue
        gamma, beta, mean, variance = (constants.array(name) for name in node.input[1:5])
        epsilon = np.float32(attribute(node, "epsilon", 1e-5))
        factor = (gamma / np.sqrt(variance + epsilon)).astype(np.float32)
        shift = (beta - mean * factor).astype(np.float32)
        layer = producers.get(node.input[0])
        if layer is not None and uses[node.input[0]] == 1 and foldable(layer, constants):
            fold(layer, constants, factor, shift)
            layer.output[0] = node.output[0]
            producers[node.output[0]] = layer
            continue
        name = node.name
        rank = rank_of(graph, node.input[0])
        if rank in (3, 4):
            shape = (len(factor),) + (1,) * (rank - 1)
            weight = constants.add(f"{name}_weight", factor.reshape(shape))
            inputs = [node.input[0], weight, constants.add(f"{name}_bias", shift)]
            new = helper.make_node("Conv", inputs, list(node.output), name, group=len(factor))
            nodes.append(new)
            continue
        scaled = f"{node.output[0]}_scaled"
        inputs = [node.input[0], constants.add(f"{name}_factor", factor)]
        nodes.append(helper.make_node("Mul", inputs, [scaled], f"{name}_scale"))
        inputs = [scaled, constants.add(f"{name}_shift", shift)]
        nodes.append(helper.make_node("Add", inputs, list(node.output), name))
    del graph.node[:]
    graph.node.extend(nodes)


def rank_of(graph: Any, name: str) -> int:
    for value in [*graph.value_info, *graph.input]:
        if value.name == name and value.type.tensor_type.HasField("shape"):
            return len(value.type.tensor_type.shape.dim)
    return 0


def foldable(layer: Any, constants: Constants) -> bool:
    fixed = all(name in constants for name in layer.input[1:] if name)
    if layer.op_type not in LAYERS or not fixed:
        return False
    return layer.op_type == "Conv" or attribute(layer, "group", 1) == 1


def fold(layer: Any, constants: Constants, factor: np.ndarray, shift: np.ndarray) -> None:
    axis = LAYERS[layer.op_type]
    if layer.op_type == "Gemm" and attribute(layer, "transB", 0):
        axis = 0
    weight = constants.array(layer.input[1])
    along = [1] * weight.ndim
    along[axis] = -1
    bias = constants.array(layer.input[2]) if len(layer.input) > 2 and layer.input[2] else 0.0
    inputs = [
        layer.input[0],
        constants.add(f"{layer.input[1]}_folded", weight * factor.reshape(along)),
        constants.add(f"{layer.name}_bias_folded", np.ravel(bias * factor + shift)),
    ]
    del layer.input[:]
    layer.input.extend(inputs)
