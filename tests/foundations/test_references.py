# SPDX-License-Identifier: Apache-2.0
"""Other runtimes are asked in one place, and their sums of integers are exact on every processor.

On x86 with AVX2 and without VNNI the first group fails where weights are left signed
(`benchmarks/processors.py` runs it there); that they are not is tested apart, anywhere.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from tinytailor.compiler import references
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.tvm]

ROOT = Path(__file__).resolve().parent.parent.parent
DEPTH, WIDTH = 64, 8  # products of one sum, and sums
SCALE = 20_000  # so that 64 * 255 * 127 is step 104 of 255
# Activations and weights that onnxruntime multiplies.
TYPES = [(np.int8, np.int8), (np.uint8, np.int8), (np.uint8, np.uint8)]


def model(nodes: list, constants: dict[str, np.ndarray], x: np.ndarray) -> onnx.ModelProto:
    kind = helper.np_dtype_to_tensor_dtype
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", kind(x.dtype), x.shape)],
        [helper.make_empty_tensor_value_info(nodes[-1].output[0])],
        [numpy_helper.from_array(np.asarray(a), name) for name, a in constants.items()],
    )
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def results(session, x: np.ndarray) -> np.ndarray:
    return session.run(None, {"x": x})[0].ravel().astype(np.float64)


def largest(activations: type, weights: type) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """(operands of a sum of the largest products, the sum in exact steps)."""
    x = np.full((1, DEPTH), np.iinfo(activations).max, activations)
    zero = np.array(np.iinfo(activations).min, activations)
    signed = np.full((DEPTH, WIDTH), 127, np.int16)
    signed[:, 1::2] = -127
    middle = 0 if weights == np.int8 else 128
    operands = {
        "x": x,
        "xs": np.float32(1),
        "xz": zero,
        "w": (signed + middle).astype(weights),
        "ws": np.float32(1),
        "wz": np.array(middle, weights),
        "ys": np.float32(SCALE),
        "yz": np.array(int(zero) + 128, activations),
    }
    total = (x.astype(np.int64) - int(zero)) @ signed
    return operands, np.clip(np.rint(total / SCALE) + 128, 0, 255).ravel() + int(zero)


def product(kind: str, operands: dict[str, np.ndarray]) -> tuple[onnx.ModelProto, np.ndarray]:
    """(the model of one operator on integers, its input)."""
    constants = dict(operands)
    x, names = constants.pop("x"), ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz"]
    domain = {}
    if kind == "QLinearConv":
        x = np.tile(x[:, :, None, None], (1, 1, 3, 3))
        constants["w"] = np.ascontiguousarray(constants["w"].T)[:, :, None, None]
        constants["wz"] = np.full(WIDTH, constants["wz"])
        constants["ws"] = np.full(WIDTH, constants["ws"])
    elif kind == "QGemm":
        names.insert(6, "")
        domain = {"domain": "com.microsoft"}
    elif kind == "MatMulIntegerToFloat":
        names, domain = ["x", "w", "xs", "ws", "xz", "wz"], {"domain": "com.microsoft"}
    node = helper.make_node(kind, names, ["y"], kind, **domain)
    used = {name: constants[name] for name in names if name in constants}
    return model([node], used, x), x


@pytest.mark.parametrize("kind", ["QLinearConv", "QLinearMatMul", "QGemm"])
@pytest.mark.parametrize(("activations", "weights"), TYPES)
def test_sums_of_the_largest_products_are_exact(kind, activations, weights) -> None:
    operands, expected = largest(activations, weights)
    whole, x = product(kind, operands)
    actual = results(references.onnx_session(whole), x).reshape(WIDTH, -1)
    np.testing.assert_array_equal(actual, np.tile(expected[:, None], actual.shape[1]))


@pytest.mark.parametrize(("activations", "weights"), TYPES)
@pytest.mark.parametrize("rows", [1, 7])
def test_sums_of_any_integers_are_exact(rows: int, activations: type, weights: type) -> None:
    """They leave as real numbers, which hold them all."""
    operands, _ = largest(activations, weights)
    rng = np.random.default_rng(rows)
    for name, kind, shape in (("x", activations, (rows, DEPTH)), ("w", weights, (DEPTH, WIDTH))):
        ends = [np.iinfo(kind).min, np.iinfo(kind).max]
        extremes, others = rng.choice(ends, shape), rng.integers(ends[0], ends[1] + 1, shape)
        operands[name] = np.where(rng.random(shape) < 0.7, extremes, others).astype(kind)
    whole, x = product("MatMulIntegerToFloat", operands)
    left, right = (operands[a].astype(int) - int(operands[f"{a}z"]) for a in "xw")
    actual = results(references.onnx_session(whole), x)
    np.testing.assert_array_equal(actual, (left @ right).ravel())


def quantized_twice(shared: bool) -> tuple[onnx.ModelProto, np.ndarray, np.ndarray]:
    """(QDQ model of two products, whose weights may be one constant, its input, its result)."""
    q, dq = "QuantizeLinear", "DequantizeLinear"
    second = "w" if shared else "w2"
    nodes = [
        helper.make_node(q, ["x", "xs", "xz"], ["q"]),
        helper.make_node(dq, ["q", "xs", "xz"], ["a"]),
        helper.make_node(dq, ["w", "ws", "wz"], ["b"]),
        helper.make_node("MatMul", ["a", "b"], ["ab"]),
        helper.make_node(q, ["ab", "ys", "yz"], ["qab"]),
        helper.make_node(dq, ["qab", "ys", "yz"], ["c"]),
        helper.make_node(dq, [second, "ws", "wz"], ["d"]),
        helper.make_node("MatMul", ["c", "d"], ["cd"]),
        helper.make_node(q, ["cd", "zs", "yz"], ["qcd"]),
        helper.make_node(dq, ["qcd", "zs", "yz"], ["y"]),
    ]
    weight = np.random.default_rng(0).choice([-127, 127], (DEPTH, DEPTH)).astype(np.int8)
    weight[:, :2] = 127, -127
    zs = np.float32(SCALE * 127 * DEPTH / 64)
    constants = {"xs": np.float32(1), "xz": np.uint8(0), "ws": np.float32(1), "wz": np.int8(0)}
    constants |= {"ys": np.float32(SCALE), "yz": np.uint8(128), "zs": zs, "w": weight}
    constants |= {} if shared else {"w2": weight}
    x = np.full((1, DEPTH), 255, np.float32)
    total = np.full((1, DEPTH), 255) @ weight.astype(np.int64)
    steps = np.clip(np.rint(total / SCALE) + 128, 0, 255) - 128
    steps = np.clip(np.rint(steps @ weight.astype(np.int64) * SCALE / zs) + 128, 0, 255) - 128
    return model(nodes, constants, x), x, (steps * zs).ravel()


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("fuse", [False, True])
def test_a_quantized_model_is_exact_node_by_node_and_with_integer_kernels(shared, fuse) -> None:
    whole, x, expected = quantized_twice(shared)
    whole = references.fused(whole) if fuse else whole
    kinds = {node.op_type for node in whole.graph.node}
    assert ("QLinearMatMul" in kinds) == fuse
    assert ("MatMul" in kinds) == (not fuse)
    np.testing.assert_array_equal(results(references.onnx_session(whole), x), expected)


@pytest.mark.parametrize("kind", ["QLinearConv", "QLinearMatMul", "QGemm", "MatMulIntegerToFloat"])
def test_no_signed_weight_meets_an_unsigned_activation(kind: str) -> None:
    operands, _ = largest(np.uint8, np.int8)
    whole, _ = product(kind, operands)
    before = whole.SerializeToString()
    changed = references.unsigned(whole)
    arrays = {t.name: numpy_helper.to_array(t) for t in changed.graph.initializer}
    _, weight, zero = references.PRODUCTS[kind]
    names = changed.graph.node[0].input
    assert arrays[names[weight]].dtype == arrays[names[zero]].dtype == np.uint8
    real = arrays[names[weight]].astype(int) - arrays[names[zero]].reshape(-1)[0]
    assert set(real.ravel()) == {-127, 127}
    assert whole.SerializeToString() == before


def test_a_zero_point_that_is_left_out_is_shifted_too() -> None:
    operands, _ = largest(np.uint8, np.int8)
    whole, x = product("MatMulIntegerToFloat", operands)
    expected = results(references.onnx_session(whole), x)
    del whole.graph.node[0].input[5]
    np.testing.assert_array_equal(results(references.onnx_session(whole), x), expected)


def test_signed_weights_that_the_model_computes_are_refused() -> None:
    operands, _ = largest(np.uint8, np.int8)
    whole, _ = product("QLinearMatMul", operands)
    whole.graph.node[0].input[3] = "computed"
    whole.graph.node.insert(0, helper.make_node("Identity", ["w"], ["computed"]))
    with pytest.raises(InputError, match="QLinearMatMul: its int8 weights are computed") as caught:
        references.onnx_session(whole)
    assert "\n" not in str(caught.value)


def test_a_model_is_given_as_bytes_as_a_file_or_read(tmp_path: Path) -> None:
    whole, x, expected = quantized_twice(shared=False)
    path = tmp_path / "model.onnx"
    onnx.save(whole, path)
    for given in (whole, whole.SerializeToString(), path):
        np.testing.assert_array_equal(results(references.onnx_session(given), x), expected)


# --- one place ------------------------------------------------------------------------------------

ELSEWHERE = {
    "benchmarks/processors.py": ".*",  # it watches sessions and makes none
    # onnxruntime's quantizer, which writes the files that people bring
    "tests/zoo/onnx_forms.py": r"from onnxruntime(\.quantization)? import .*",
}
RUNTIME = re.compile(
    r"InferenceSession|Interpreter\("
    r"|^\s*(import|from) onnxruntime|^\s*from ai_edge_litert.* interpreter"
)


def sessions(path: Path, name: str) -> list[str]:
    """The lines of a file that reach for a runtime."""
    allowed = re.compile(ELSEWHERE.get(name, "(?!)"))
    lines = enumerate(path.read_text().splitlines(), 1)
    found = ((i, line) for i, line in lines if RUNTIME.search(line) and not allowed.match(line))
    return [f"{name}:{i}: {line.strip()}" for i, line in found]


def test_sessions_of_other_runtimes_are_made_in_one_place() -> None:
    here = {"compiler/references.py", str(Path(__file__).relative_to(ROOT))}
    folders = ("benchmarks", "cli", "compiler", "examples", "latency_tables", "nas", "targets")
    files = [path for folder in (*folders, "tests") for path in (ROOT / folder).rglob("*.py")]
    names = {str(path.relative_to(ROOT)): path for path in files}
    assert here < set(names)
    found = [line for name in names if name not in here for line in sessions(names[name], name)]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "    import onnxruntime",
        "from onnxruntime import InferenceSession",
        "session = onnxruntime.InferenceSession(data)",
        'pytest.importorskip("ai_edge_litert.interpreter").Interpreter(str(path))',
        "from ai_edge_litert import interpreter",
    ],
)
def test_each_way_to_a_session_is_seen(line: str, tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text(line)
    assert len(sessions(path, "tests/x.py")) == 1


# --- LiteRT ---------------------------------------------------------------------------------------


def test_litert_reads_files_and_bytes_and_keeps_tensors_on_request(data_folder: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    path = data_folder / "mlperf_tiny/models/kws_int8.tflite"
    x = np.random.default_rng(0).integers(-128, 128, (1, 49, 10, 1)).astype(np.int8)
    found = []
    for session in (
        references.litert(path),
        references.litert(path.read_bytes()),
        references.litert(path, all_tensors=True),
    ):
        session.set_tensor(session.get_input_details()[0]["index"], x)
        session.invoke()
        found.append(session.get_tensor(session.get_output_details()[0]["index"]))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])
    first = session.get_tensor(session._get_ops_details()[0]["outputs"][0])
    assert len(np.unique(first)) > 4
