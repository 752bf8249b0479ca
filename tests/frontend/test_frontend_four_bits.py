# SPDX-License-Identifier: Apache-2.0
"""Weights that a file holds in 4 bits: in flash they take as many where the operator can, and the
integers are those of the same weights in 8 bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper
from qdq_models import Model, differences

from tinytailor.compiler import compile_model, load_model, verify
from tinytailor.compiler.execute import execute
from tinytailor.compiler.ir import Graph
from tinytailor.compiler.narrow_weights import unpack
from tinytailor.compiler.passes import optimize
from tinytailor.targets import load_target
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.emulator, pytest.mark.tvm]

OPSET = 21  # the first with INT4


class FourBits(Model):
    """``bits`` 8 builds the same model with weights of 8 bits."""

    def __init__(self, bits: int = 4, zero: int | None = None, nodes: bool = False) -> None:
        super().__init__()
        self.bits, self.zero, self.in_nodes = bits, zero, nodes

    def stored(self, name: str, values: np.ndarray) -> str:
        """Integers of 4 bits: INT4, or UINT4 where weights have a zero point."""
        signed = self.zero is None
        if self.bits == 8:
            return self.constant(name, values.astype(np.int8 if signed else np.uint8))
        kind = TensorProto.INT4 if signed else TensorProto.UINT4
        tensor = helper.make_tensor(name, kind, values.shape, values.ravel().tolist())
        if self.in_nodes:
            self.nodes.append(helper.make_node("Constant", [], [name], name, value=tensor))
        else:
            self.constants.append(tensor)
        return name

    def weights(
        self, shape: tuple[int, ...], per_channel: bool = True, axis: int = 0
    ) -> tuple[str, np.ndarray]:
        place = len(self.constants) + len(self.nodes)
        w = self.rng.integers(-8, 8, shape) + (0 if self.zero is None else 8)
        count = shape[axis] if per_channel else 1
        scale = self.rng.uniform(0.5, 1.5, count).astype(np.float32) / 8
        scale = scale if per_channel else scale.reshape(())
        names = [self.stored(f"w_{place}", w), self.constant(f"w_{place}_scale", scale)]
        if self.zero is not None:
            names.append(self.stored(f"w_{place}_zero", np.full(scale.shape, self.zero)))
        return self.node("DequantizeLinear", names, axis=axis), scale


def plain(model: Model) -> str:
    x = model.input((1, 3, 6, 5))
    return model.quantized(model.conv(x, (8, 3, 3, 3), pads=[1, 1, 1, 1]), 0.05, -3)


def depthwise(model: Model) -> str:
    x = model.input((1, 5, 6, 5))
    return model.quantized(model.conv(x, (5, 1, 3, 3), group=5, strides=[2, 1]), 0.03, 5)


def series(model: Model) -> str:
    x = model.input((1, 3, 12))
    return model.quantized(model.conv(x, (4, 3, 5), pads=[2, 2]), 0.04, -3)


def dense(model: Model) -> str:
    """Gemm with transposed weights, one scale for all of them."""
    x = model.input((1, 27))
    return model.quantized(model.gemm(x, (5, 27)), 0.05, 4)


def matmul(model: Model) -> str:
    """A scale for each column, which is an output channel."""
    x = model.input((1, 9))
    w, _ = model.weights((9, 7), axis=1)
    return model.quantized(model.node("MatMul", [x, w]), 0.04, 4)


def rows(model: Model) -> str:
    """Each row of a series through one matrix: a 1x1 convolution."""
    x = model.node("Transpose", [model.input((1, 6, 4))], perm=[0, 2, 1])
    w, _ = model.weights((6, 3), axis=1)
    return model.quantized(model.node("MatMul", [x, w]), 0.04, 4)


def shared(model: Model) -> str:
    """One tensor of weights in two layers, with scales of their own."""
    x = model.input((1, 4, 5, 5))
    w, _ = model.weights((4, 4, 3, 3))
    first = model.quantized(model.node("Conv", [x, w], pads=[1, 1, 1, 1]), 0.05, -3)
    stored = next(n for n in model.nodes if n.output[0] == w).input[0]
    scale = model.constant("other_scale", np.float32(0.11))
    zero = [model.stored("other_zero", np.array(model.zero))] if model.zero else []
    again = model.node("DequantizeLinear", [stored, scale, *zero])
    y = model.node("Conv", [first, again], pads=[1, 1, 1, 1])
    return model.quantized(model.node("Add", [model.quantized(y, 0.23), first]), 0.21, 4)


def normalized(model: Model) -> str:
    """Gains of a batch normalization go into the scales, and leave the weights alone."""
    x = model.input((1, 3, 6, 5))
    y = model.conv(x, (4, 3, 1, 1), bias=False)
    arrays = {"g": [0.5, 1, 2, 0.1], "b": [0.1, 0, 1, 0], "m": [0, 0.1, 0, 0], "v": [1, 2, 1, 1]}
    names = [model.constant(name, np.array(a, np.float32)) for name, a in arrays.items()]
    return model.quantized(model.node("BatchNormalization", [y, *names]), 0.04, -3)


LAYERS = {
    f.__name__: f for f in (plain, depthwise, series, dense, matmul, rows, shared, normalized)
}
FORMS = {
    "int4": {},
    "uint4 about 8": {"zero": 8},
    "in nodes": {"nodes": True},
}


def graph_of(build, path: Path, **form: object) -> Graph:
    model = FourBits(**form)
    return load_model(model.save(path, build(model), opset=OPSET))


def inputs(graph: Graph, count: int = 20) -> np.ndarray:
    shape = graph.tensors[graph.inputs[0]].shape
    return np.random.default_rng(1).integers(-128, 128, (count, *shape[1:])).astype(np.int8)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_keeps_them_and_computes_the_same_integers(layer, form, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    wide = graph_of(LAYERS[layer], tmp_path / "wide.onnx", **{**FORMS[form], "bits": 8})
    narrow = graph_of(LAYERS[layer], path, **FORMS[form])
    layers = [
        (a, b) for a, b in zip(wide.nodes, narrow.nodes, strict=True) if "weight" in a.constants
    ]
    assert len(layers) == (2 if layer == "shared" else 1)
    for a, b in layers:
        assert (a.op.weight_bits, b.op.weight_bits) == (8, 4)
        held, packed = a.constants["weight"], b.constants["weight"]
        lines = held.reshape(*packed.shape[:-1], -1)
        np.testing.assert_array_equal(unpack(packed, lines.shape[-1], 4), lines)
        assert packed.nbytes <= held.nbytes // 2 + len(lines.reshape(-1, lines.shape[-1]))
    x = inputs(narrow)
    np.testing.assert_array_equal(execute(narrow, x)[0], execute(wide, x)[0])
    assert narrow.notes == {}
    differing, largest, elements = differences(path, narrow, fused=False)
    assert largest <= 1
    assert differing < 0.02 * elements


def network(model: Model) -> str:
    """Every layer that can hold 4 bits, one of its tensors in two of them."""
    x = model.input((1, 3, 7, 6))
    x = model.quantized(model.conv(x, (7, 3, 3, 3), pads=[1, 1, 1, 1]), 0.06, -3)
    x = model.quantized(model.conv(x, (7, 1, 3, 3), group=7), 0.06, 5)
    w, _ = model.weights((7, 7, 1, 1))
    for _ in range(2):
        y = model.node("Conv", [x, w])
        model.nodes.append(helper.make_node("Relu", [y], [f"{y}_relu"]))
        x = model.quantized(f"{y}_relu", 0.05, -128)
    flat = model.node("Flatten", [x])
    model.scales[flat] = 0.05
    return model.quantized(model.gemm(flat, (5, 140)), 0.2, 3)


@pytest.mark.parametrize("board", ["nucleo-g0b1re", "nucleo-f446re"])
def test_the_emitted_code_computes_the_graph_from_less_flash(board, tmp_path: Path) -> None:
    flash = {}
    for bits in (4, 8):
        graph = graph_of(network, tmp_path / f"w{bits}.onnx", bits=bits)
        folder = tmp_path / f"c{bits}"
        target = load_target(board)
        compile_model(graph, target, folder, "net", model_sha256="0" * 64)
        x = inputs(graph, 5)
        for runner in ("host", "emulator"):
            assert verify(folder, runner, x)["bit_exact"], runner
        flash[bits] = sum(node.constants["weight"].nbytes for node in graph.nodes if node.constants)
    assert flash[4] < 0.6 * flash[8]


def grouped(model: Model) -> str:
    x = model.input((1, 4, 6, 5))
    return model.quantized(model.conv(x, (6, 2, 3, 3), group=2, name="half"), 0.03, 5)


def transposed(model: Model) -> str:
    x = model.input((1, 3, 4, 5))
    w, _ = model.weights((3, 2, 2, 2), axis=1)
    return model.quantized(model.node("ConvTranspose", [x, w], "up", strides=[2, 2]), 0.05, 5)


def mirrored(model: Model) -> str:
    """A negative gain makes 8 of -8."""
    x = model.input((1, 3, 6, 5))
    y = model.conv(x, (4, 3, 1, 1), bias=False, name="turned")
    arrays = [np.array(a, np.float32) for a in ([1, -1, 1, 1], [0] * 4, [0] * 4, [1] * 4)]
    names = [model.constant(f"bn_{i}", array) for i, array in enumerate(arrays)]
    return model.quantized(model.node("BatchNormalization", [y, *names]), 0.04, -3)


def off_center(model: Model) -> str:
    x = model.input((1, 3, 6, 5))
    return model.quantized(model.conv(x, (8, 3, 3, 3), name="off"), 0.05, -3)


WIDENED = {
    "grouped": (grouped, {}, "half", "grouped_conv2d has no form with fewer"),
    "transposed": (transposed, {}, "up", "conv_transpose2d has no form with fewer"),
    "mirrored": (mirrored, {}, "turned", "they reach from -8 to 8, 4 bits hold -8 to 7"),
    "off center": (off_center, {"zero": 3}, "off", "from -3 to 12, 4 bits hold -8 to 7"),
}


@pytest.mark.parametrize("case", WIDENED)
def test_where_it_cannot_be_they_take_eight_and_a_note_says_why(case, tmp_path: Path) -> None:
    build, form, node, reason = WIDENED[case]
    wide = graph_of(build, tmp_path / "wide.onnx", **form, bits=8)
    graph = graph_of(build, tmp_path / "model.onnx", **form)
    assert set(graph.notes) == {node}
    assert graph.notes[node].startswith("its weights of 4 bits take 8: ")
    assert reason in graph.notes[node]
    for a, b in zip(wide.nodes, graph.nodes, strict=True):
        assert a.op == b.op
        for role, array in a.constants.items():
            np.testing.assert_array_equal(b.constants[role], array)
    _, report = optimize(graph)
    stage = report.to_json()[0]
    noted = [note for note in stage["notes"] if not note["changed"]]
    assert [note["node"] for note in noted] == [node]
    assert noted[0]["text"] == graph.notes[node]


def test_zero_points_beside_the_middle_are_kept_where_the_weights_fit(tmp_path: Path) -> None:
    """UINT4 with zero point 7 can hold -7 to 8; only 8 is too large for 4 bits in flash."""

    def build(model: Model) -> str:
        values = np.arange(14).reshape(7, 2, 1, 1)  # -7 to 6
        w = [model.stored("w", values), model.constant("s", np.float32(0.1))]
        w.append(model.stored("z", np.array(7)))
        x = model.input((1, 2, 3, 3))
        y = model.node("Conv", [x, model.node("DequantizeLinear", w)])
        return model.quantized(y, 0.05)

    graph = graph_of(build, tmp_path / "model.onnx", zero=7)
    assert graph.nodes[0].op.weight_bits == 4
    assert graph.notes == {}


def test_scales_of_blocks_are_refused_with_the_reason(tmp_path: Path) -> None:
    def build(model: Model) -> str:
        x = model.input((1, 8))
        names = [model.stored("w", np.ones((8, 4), int))]
        names.append(model.constant("s", np.full((2, 4), 0.1, np.float32)))
        w = model.node("DequantizeLinear", names, "blocks", axis=0, block_size=4)
        return model.quantized(model.node("MatMul", [x, w]), 0.05)

    with pytest.raises(InputError, match=r"node blocks .*a scale for each block"):
        graph_of(build, tmp_path / "model.onnx")
