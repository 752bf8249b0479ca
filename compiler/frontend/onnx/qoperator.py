# SPDX-License-Identifier: Apache-2.0
"""ONNX operators on integers, rewritten as the real operators between DequantizeLinear and
QuantizeLinear that they stand for:

    y_q = QLinearConv(x_q, s_x, z_x, w_q, s_w, z_w, s_y, z_y, b_q)

    x = DQ(x_q, s_x, z_x)   w = DQ(w_q, s_w, z_w)   b = DQ(b_q, s_x s_w, 0)
    y_q = Q(Conv(x, w, b), s_y, z_y)

Every node that is written carries the name and the operator of the user's node, which errors show.
A node that cannot be rewritten stays as it is, with the reason. The rest of the graph (MaxPool,
Reshape, Transpose on integers) is what the walk understands anyway.

Sources: ONNX operator specifications; ContribOperators.md of onnxruntime (domain com.microsoft).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tinytailor.compiler.frontend.report import Declined

MICROSOFT = "com.microsoft"
OPERATOR, REASON = "tinytailor.operator", "tinytailor.reason"  # metadata of a node
ACTIVATIONS = (np.dtype(np.int8), np.dtype(np.uint8))


def rewrite(model: Any) -> None:
    """Replace, in place, every node whose operator is in ``REWRITES``."""
    writer = Writer(model)
    for node in list(model.graph.node):
        one = REWRITES.get((node.domain, node.op_type))
        if one is None:
            writer.keep(node)
            continue
        before = len(writer.nodes)
        try:
            one(node, writer)
            writer.signed(node, writer.nodes[before:])
        except Declined as reason:
            del writer.nodes[before:]
            note(node, REASON, str(reason))
            writer.keep(node)
    del model.graph.node[:]
    model.graph.node.extend(writer.nodes)
    model.graph.initializer.extend(writer.constants)


def metadata(node: Any, key: str) -> str:
    """What was noted at a node under ``key``, or ""."""
    return next((str(item.value) for item in node.metadata_props if item.key == key), "")


def note(node: Any, key: str, value: str) -> None:
    node.metadata_props.add(key=key, value=value)


class Writer:
    """The nodes and constants of the new graph, and what is known about its tensors."""

    def __init__(self, model: Any) -> None:
        from onnx import helper, numpy_helper

        graph = model.graph
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.arrays = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
        self.dtypes = {name: array.dtype for name, array in self.arrays.items()}
        for value in graph.input:
            kind = value.type.tensor_type.elem_type
            self.dtypes.setdefault(value.name, np.dtype(helper.tensor_dtype_to_np_dtype(kind)))
        for node in graph.node:
            if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
                self.arrays[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        self.taken = {name for node in graph.node for name in (*node.input, *node.output)}
        self.opset = next((s.version for s in model.opset_import if s.domain in ("", "ai.onnx")), 1)

    def keep(self, node: Any) -> None:
        """A node as it is; its output has the type of its first input, or of its zero point."""
        self.nodes.append(node)
        if node.op_type == "QuantizeLinear":
            dtype = self.dtypes.get(node.input[2]) if len(node.input) > 2 else np.dtype(np.uint8)
        elif node.op_type == "Constant" and node.output[0] in self.arrays:
            dtype = self.arrays[node.output[0]].dtype
        else:
            dtype = self.dtypes.get(node.input[0]) if node.input else None
        if dtype is not None and node.output:
            self.dtypes[node.output[0]] = dtype

    def signed(self, node: Any, written: Sequence[Any]) -> None:
        domain = f"{node.domain}." if node.domain not in ("", "ai.onnx") else ""
        for new in written:
            new.name = node.name or node.output[0]
            note(new, OPERATOR, f"{domain}{node.op_type}")

    def name(self, base: str) -> str:
        count = sum(1 for name in self.taken if name.startswith(base))
        while base in self.taken:
            base, count = f"{base}_{count}", count + 1
        self.taken.add(base)
        return base

    def constant(self, base: str, array: np.ndarray) -> str:
        from onnx import numpy_helper

        name = self.name(base)
        self.constants.append(numpy_helper.from_array(np.asarray(array, order="C"), name))
        self.arrays[name], self.dtypes[name] = array, array.dtype
        return name

    def value(self, name: str, role: str) -> np.ndarray:
        if name not in self.arrays:
            raise Declined(f"its {role} is computed by the model, expected a constant")
        return self.arrays[name]

    def add(self, kind: str, inputs: Sequence[str], base: str, **attributes: Any) -> str:
        from onnx import helper

        output = self.name(base)
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def real(self, tensor: Sequence[str], axis: int = 1) -> str:
        """DequantizeLinear of (integers, scale, zero point or "")."""
        integers, scale, zero = tensor
        if not integers or not scale:
            raise Declined("one of its inputs is missing")
        inputs = [integers, scale, zero] if zero else [integers, scale]
        return self.add("DequantizeLinear", inputs, f"{integers}_real", axis=axis)

    def integers(self, real: str, node: Any, scale: str, zero: str) -> None:
        """QuantizeLinear to the output of ``node``; the zero point gives the type."""
        if not scale:
            raise Declined("its output scale is missing")
        dtype = self.dtypes.get(zero) if zero else self.dtypes.get(node.input[0])
        if not zero:
            dtype = dtype if dtype in ACTIVATIONS else np.dtype(np.uint8)
            zero = self.constant(f"{node.output[0]}_zero", np.zeros((), dtype))
        from onnx import helper

        self.nodes.append(helper.make_node("QuantizeLinear", [real, scale, zero], [node.output[0]]))
        if dtype is not None:
            self.dtypes[node.output[0]] = dtype


def attributes_of(node: Any, *dropped: str) -> dict[str, Any]:
    from onnx import helper

    values = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    if values.get("channels_last"):
        raise Declined("it has channels_last=1, expected channels in front of height and width")
    return {name: value for name, value in values.items() if name not in dropped}


def inputs_of(node: Any, count: int) -> list[str]:
    """The inputs, filled up with "" to ``count``."""
    names = list(node.input)
    return names + [""] * (count - len(names))


def accumulator_bias(writer: Writer, node: Any, bias: str, x_scale: str, scale: np.ndarray) -> str:
    """int32 ``bias`` as real numbers: its scale is that of the products, its zero point 0."""
    unit = (writer.value(x_scale, "input scale").reshape(-1)[:1] * scale).astype(np.float32)
    unit = unit if unit.size > 1 else unit.reshape(())
    name = writer.constant(f"{node.output[0]}_bias_scale", unit)
    return writer.real((bias, name, ""), axis=0)


def conv(node: Any, writer: Writer) -> None:
    x, xs, xz, w, ws, wz, ys, yz, bias = inputs_of(node, 9)[:9]
    attributes = attributes_of(node, "channels_last")
    operands = [writer.real((x, xs, xz)), writer.real((w, ws, wz), axis=0)]
    if bias:
        scale = writer.value(ws, "weight scale").reshape(-1)
        operands.append(accumulator_bias(writer, node, bias, xs, scale))
    real = writer.add("Conv", operands, f"{node.output[0]}_real", **attributes)
    writer.integers(real, node, ys, yz)


def matmul(node: Any, writer: Writer) -> None:
    a, a_scale, a_zero, b, b_scale, b_zero, ys, yz = inputs_of(node, 8)[:8]
    last = writer.arrays[b].ndim - 1 if b in writer.arrays else 1
    operands = [writer.real((a, a_scale, a_zero)), writer.real((b, b_scale, b_zero), last)]
    real = writer.add("MatMul", operands, f"{node.output[0]}_real")
    writer.integers(real, node, ys, yz)


def gemm(node: Any, writer: Writer) -> None:
    """alpha is part of the weights' scale; without an output scale the result stays real."""
    a, a_scale, a_zero, b, b_scale, b_zero, c, ys, yz = inputs_of(node, 9)[:9]
    attributes = attributes_of(node, "alpha")
    alpha = next((item.f for item in node.attribute if item.name == "alpha"), 1.0)
    scale = (np.float32(alpha) * writer.value(b_scale, "weight scale")).astype(np.float32)
    if alpha != 1.0:
        b_scale = writer.constant(f"{node.output[0]}_scale", scale)
    axis = 0 if attributes.get("transB") else 1
    operands = [writer.real((a, a_scale, a_zero)), writer.real((b, b_scale, b_zero), axis)]
    if c:
        operands.append(accumulator_bias(writer, node, c, a_scale, scale.reshape(-1)))
    real = writer.add("Gemm", operands, f"{node.output[0]}_real", **attributes)
    if ys:
        writer.integers(real, node, ys, yz)
    else:
        writer.nodes[-1].output[0] = node.output[0]


def binary(kind: str) -> Callable[[Any, Writer], None]:
    """(A, scale, zero point, B, scale, zero point, scale and zero point of the result)."""

    def write(node: Any, writer: Writer) -> None:
        names = inputs_of(node, 8)
        operands = [writer.real(names[0:3]), writer.real(names[3:6])]
        real = writer.add(kind, operands, f"{node.output[0]}_real")
        writer.integers(real, node, names[6], names[7])

    return write


def unary(kind: str) -> Callable[[Any, Writer], None]:
    """(X, scale, zero point, scale and zero point of the result)."""

    def write(node: Any, writer: Writer) -> None:
        names = inputs_of(node, 5)
        attributes = attributes_of(node, "channels_last")
        operand = writer.real(names[0:3])
        real = writer.add(kind, [operand], f"{node.output[0]}_real", **attributes)
        writer.integers(real, node, names[3], names[4])

    return write


def softmax(node: Any, writer: Writer) -> None:
    """Its attribute "opset" says which of Softmax's two meanings it has."""
    names = inputs_of(node, 5)
    attributes = attributes_of(node, "opset")
    version = next((item.i for item in node.attribute if item.name == "opset"), writer.opset)
    if (version < 13) != (writer.opset < 13):
        raise Declined(f"it is a softmax of opset {version} in a model of opset {writer.opset}")
    attributes.setdefault("axis", 1 if version < 13 else -1)
    real = writer.add("Softmax", [writer.real(names[0:3])], f"{node.output[0]}_real", **attributes)
    writer.integers(real, node, names[3], names[4])


def concat(node: Any, writer: Writer) -> None:
    """(scale and zero point of the result, then value, scale, zero point of each part)."""
    scale, zero, *parts = node.input
    operands = [writer.real(inputs_of(node, 2)[i : i + 3]) for i in range(2, 2 + len(parts), 3)]
    real = writer.add("Concat", operands, f"{node.output[0]}_real", **attributes_of(node))
    writer.integers(real, node, scale, zero)


REWRITES: Mapping[tuple[str, str], Callable[[Any, Writer], None]] = {
    ("", "QLinearConv"): conv,
    ("", "QLinearMatMul"): matmul,
    (MICROSOFT, "QLinearConv"): conv,
    (MICROSOFT, "QGemm"): gemm,
    (MICROSOFT, "QLinearAdd"): binary("Add"),
    (MICROSOFT, "QLinearMul"): binary("Mul"),
    (MICROSOFT, "QLinearAveragePool"): unary("AveragePool"),
    (MICROSOFT, "QLinearGlobalAveragePool"): unary("GlobalAveragePool"),
    (MICROSOFT, "QLinearReduceMean"): unary("ReduceMean"),
    (MICROSOFT, "QLinearSigmoid"): unary("Sigmoid"),
    (MICROSOFT, "QLinearLeakyRelu"): unary("LeakyRelu"),
    (MICROSOFT, "QLinearSoftmax"): softmax,
    (MICROSOFT, "QLinearConcat"): concat,
}
