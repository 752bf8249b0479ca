# SPDX-License-Identifier: Apache-2.0
"""Operators without an integer form: refused with a hint, or computed in float on request."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from float_layer_models import CASES, NETWORKS, Case, alone
from mutations import changed_onnx
from qdq_models import Model, differences
from tiers import nightly_but

from tinytailor.compiler import execute, key_of, load_model
from tinytailor.compiler.ops.float_op import FloatOp
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.tvm]

HINT = "--allow-float compiles it in float"


def saved(case: Case, path: Path) -> Path:
    model = Model()
    y = case.build(model)
    return model.save(path, y, opset=case.opset)


def float_nodes(graph):
    return [node for node in graph.nodes if isinstance(node.op, FloatOp)]


@pytest.mark.parametrize("name", CASES)
def test_an_operator_in_float_agrees_with_onnxruntime(name, tmp_path, capsys):
    path = saved(CASES[name], tmp_path / "m.onnx")
    graph = load_model(path, allow_float=True)
    assert [node.op.operators for node in float_nodes(graph)] == [(name,)]
    found = differences(path, graph, fused=name != "Conv")  # it would quantize its weights
    with capsys.disabled():
        print(f" {name}: {found[0]} of {found[2]} differ by 1")
    assert found[1] <= 1
    assert found[0] <= found[2] // 100


@pytest.mark.parametrize("name", CASES)
def test_without_the_flag_it_is_refused_with_a_hint(name, tmp_path):
    with pytest.raises(InputError) as caught:
        load_model(saved(CASES[name], tmp_path / "m.onnx"))
    lines = str(caught.value).splitlines()
    assert lines[0] == "1 operator has no integer form:"
    assert lines[1].split()[:3] == [name, "node", "op"]
    assert lines[1].endswith(HINT)
    assert len(lines) == 3


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_around_float_operators_agrees_with_onnxruntime(name, tmp_path):
    path = saved(Case(NETWORKS[name]), tmp_path / "m.onnx")
    graph = load_model(path, allow_float=True)
    assert float_nodes(graph)
    assert differences(path, graph)[1] <= 1


def test_what_follows_in_float_is_part_of_the_same_operator(tmp_path):
    path = saved(Case(NETWORKS["between_convolutions"]), tmp_path / "m.onnx")
    graph = load_model(path, allow_float=True)
    (node,) = float_nodes(graph)
    assert node.op.operators == ("LRN", "Relu")
    assert node.name == "norm"
    assert [n.op.kind for n in graph.nodes].count("conv2d") == 2


def test_operators_with_an_integer_form_keep_it(tmp_path):
    model = Model()
    x = model.quantized(model.conv(model.input((1, 3, 8, 8)), (4, 3, 3, 3)), 0.05)
    path = model.save(tmp_path / "m.onnx", model.quantized(model.node("Tanh", [x]), 1 / 128))
    kinds = [[n.op.kind for n in load_model(path, allow_float=a).nodes] for a in (False, True)]
    assert kinds[0] == kinds[1]
    assert "float" not in kinds[0]


def test_what_cannot_be_computed_in_float_either_gets_no_hint(tmp_path):
    model = Model()
    x = model.input((1, 4, 5, 6))
    x = model.quantized(model.node("Tan", [x], "tan"), 0.05)
    x = model.quantized(model.node("LRN", [x], "norm", size=3), 0.03)
    path = model.save(tmp_path / "m.onnx", x)
    for allow_float in (False, True):
        with pytest.raises(InputError) as caught:
            load_model(path, allow_float=allow_float)
        tan, *rest = str(caught.value).splitlines()[1:-1]
        assert tan.split()[:3] == ["Tan", "node", "tan"]
        assert HINT not in tan
        assert [HINT in line for line in rest] == ([] if allow_float else [True])


def test_a_result_in_float_must_be_quantized(tmp_path):
    model = Model()
    y = model.node("LRN", [model.input((1, 4, 5, 6))], "norm", size=3)
    with pytest.raises(InputError, match=r"LRN +node norm .*QuantizeLinear"):
        load_model(model.save(tmp_path / "m.onnx", y), allow_float=True)


def test_uint8_models_give_the_same_integers_less_128(tmp_path):
    build = alone("ReduceL2", 0.04, -128, (1, 8, 5, 6), axes=[1], keepdims=1)
    graphs = []
    for dtype in ("int8", "uint8"):
        model = Model(dtype=dtype)
        path = model.save(tmp_path / f"{dtype}.onnx", build(model))
        graphs.append(load_model(path, allow_float=True))
        assert differences(path, graphs[-1])[1] <= 1
    assert [n.op for n in graphs[0].nodes] == [n.op for n in graphs[1].nodes]


def test_a_float_model_is_quantized_around_them(tmp_path):
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    arrays = {
        "w": rng.normal(0, 0.3, (8, 3, 3, 3)),
        "f": rng.normal(0, 0.1, (10, 288)),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], "conv"),
        helper.make_node("LRN", ["a"], ["b"], "norm", size=3),
        helper.make_node("Flatten", ["b"], ["c"], "flat"),
        helper.make_node("Gemm", ["c", "f"], ["y"], "classes", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "float",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 10])],
        [numpy_helper.from_array(a.astype(np.float32), n) for n, a in arrays.items()],
    )
    opsets = [helper.make_opsetid("", 17)]
    path = tmp_path / "float.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    samples = rng.normal(size=(16, 3, 8, 8)).astype(np.float32)
    with pytest.raises(InputError, match=HINT):
        load_model(path, calibration=samples)
    quantized = load_model(path, calibration=samples, allow_float=True)
    assert [n.op.operators for n in float_nodes(quantized)] == [("LRN",)]


def test_whole_powers_of_negative_numbers_have_their_sign(tmp_path):
    model = Model()
    x = model.input((1, 64), scale=0.02, zero=0)
    whole = model.quantized(model.node("Abs", [x]), 1.0, 0)  # 0 to 3
    path = model.save(tmp_path / "m.onnx", model.quantized(model.node("Pow", [x, whole]), 0.07, 0))
    graph = load_model(path, allow_float=True)
    found = differences(path, graph)
    assert found[1] <= 1
    assert found[0] <= found[2] // 100


@pytest.mark.slow
@pytest.mark.parametrize("first", nightly_but((0,), range(0, 120, 30)))
def test_damaged_files_end_in_a_graph_that_runs_or_in_a_sentence(first, tmp_path):
    sound = [saved(case, tmp_path / "m.onnx").read_bytes() for case in CASES.values()]
    ended = {"graph": 0, "refused": 0}
    for seed in range(first, first + 30):
        rng = np.random.default_rng(seed)
        path = tmp_path / "damaged.onnx"
        path.write_bytes(changed_onnx(sound[seed % len(sound)], rng))
        try:
            graph = load_model(path, allow_float=True)
        except InputError:
            ended["refused"] += 1
            continue
        ended["graph"] += 1
        shapes = [graph.tensors[name].shape for name in graph.inputs]
        inputs = [rng.integers(-128, 128, shape).astype(np.int8) for shape in shapes]
        execute(graph, *inputs)
    assert min(ended.values()) > 2, ended


def test_a_float_operator_has_no_place_in_latency_tables(tmp_path):
    graph = load_model(saved(CASES["LRN"], tmp_path / "m.onnx"), allow_float=True)
    (node,) = float_nodes(graph)
    key = key_of(node, graph, "dsp")
    assert len(key.attributes) < 200
    with pytest.raises(InputError, match=r"LRN in float .* no entry in latency tables"):
        key.operator()
