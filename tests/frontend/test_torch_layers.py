# SPDX-License-Identifier: Apache-2.0
"""Each torch module as both ONNX exporters write it, with batch 1 and a free one: quantized, it is
within one step of onnxruntime on the same integers, and near the float model.

torch_files.zip is made by make_torch_files.py.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "conformance"))

import numpy as np
import onnx
import pytest
from node_tests import device_results, imported, steps_apart
from onnx import TensorProto, helper, numpy_helper
from qdq_models import Model, differences
from torch_files import BATCHES, EXPORTERS, NAMES, NOT_EXPORTED, obstacle, parts, stored

from tinytailor.compiler import load_model
from tinytailor.compiler.frontend.report import UnsupportedError
from tinytailor.compiler.ir import Graph
from tinytailor.compiler.quantize import quantize_onnx
from tinytailor.compiler.references import onnx_session
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.tvm]

SAMPLES = 30
HALVES = 0.13  # of the elements: exact halves, of averages and between two neighbours
JUMPS = ("Hardshrink",)  # numbers beside a jump may be rounded to its other side
NEAR = 0.06  # of a quantized module to the float one, in ranges of its results

IMPORTED = [name for name in NAMES if not obstacle(name)]
FREE = [name for name in IMPORTED if parts(name)[2] == "free"]
Arrays = dict[str, np.ndarray]


def samples(name: str) -> Arrays:
    rng = np.random.default_rng(1)
    shapes = {
        value.name: [size.dim_value for size in value.type.tensor_type.shape.dim[1:]]
        for value in onnx.load_model_from_string(stored(name)).graph.input
    }
    return {
        key: rng.normal(size=(SAMPLES, *shape)).astype(np.float32) for key, shape in shapes.items()
    }


@cache
def compiled(name: str) -> tuple[bytes, Graph]:
    data = quantize_onnx(stored(name), samples(name), path=Path(name))
    return data, imported(data, Path(name))


def answers(data: bytes, inputs: Arrays) -> np.ndarray:
    """What onnxruntime computes, sample by sample."""
    session = onnx_session(data)
    rows = [{key: x[row : row + 1] for key, x in inputs.items()} for row in range(SAMPLES)]
    return np.concatenate([session.run(None, feeds)[0] for feeds in rows])


def on_device(graph: Graph, inputs: Arrays) -> np.ndarray:
    """What the integer graph computes of real inputs, sample by sample, as the model has it."""
    border = graph.borders[graph.outputs[0]]
    sizes = [border.shape[axis] for axis in border.axes]
    rows = []
    for row in range(SAMPLES):
        feeds = {name: x[row : row + 1] for name, x in inputs.items()}
        (y,) = device_results(graph, feeds)
        rows.append(y.reshape(sizes).transpose(np.argsort(border.axes)))
    return np.concatenate(rows).astype(np.int64)


@pytest.mark.parametrize("name", IMPORTED)
def test_a_module_is_within_one_step_of_onnxruntime_and_near_the_float_one(name: str) -> None:
    quantized, graph = compiled(name)
    inputs, tensor = samples(name), graph.tensors[graph.outputs[0]]
    real, expected = answers(quantized, inputs), answers(stored(name), inputs)
    steps = real
    if real.dtype.kind == "f":
        steps = np.rint(real / np.float32(tensor.scale)) + tensor.zero_point
    gaps = np.abs(on_device(graph, inputs) - steps.astype(np.int64))
    assert gaps.max() <= 1
    assert np.mean(gaps > 0) <= HALVES
    assert real.shape == expected.shape
    far = np.abs(real - expected) > NEAR * np.ptp(expected)
    assert np.mean(far) <= (0.01 if parts(name)[0] in JUMPS else 0)


@pytest.mark.parametrize("name", FREE)
def test_a_free_batch_makes_no_difference_to_what_is_computed(name: str) -> None:
    _, free = compiled(name)
    _, fixed = compiled(name.replace("-free.onnx", "-1.onnx"))
    assert [node.op for node in free.nodes] == [node.op for node in fixed.nodes]


def test_every_module_is_there_from_both_exporters_with_both_batches() -> None:
    modules = {parts(name)[0] for name in NAMES}
    assert {parts(name) for name in NAMES} == {
        (module, exporter, batch)
        for module in modules
        for exporter in EXPORTERS
        for batch in BATCHES
        if (module, exporter) not in NOT_EXPORTED
    }
    assert {module for module, _ in NOT_EXPORTED} <= modules


@pytest.mark.filterwarnings("ignore::tinytailor.targets.errors.Doubt")  # Softshrink: x * 0
@pytest.mark.parametrize("name", [name for name in NAMES if obstacle(name)])
def test_what_has_no_integer_form_is_refused_by_name(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(stored(name))
    with pytest.raises(UnsupportedError) as refusal:
        load_model(path, calibration=samples(name))
    operators = dict.fromkeys(item.origin.operator for item in refusal.value.items)
    assert ", ".join(operators) == obstacle(name)


def einsum(equation: str) -> bytes:
    """A float model that multiplies x, the operand with a b, by weights."""
    sizes = dict(zip("btcdeh", (1, 5, 4, 3, 2, 6), strict=True))
    parts = equation.split("->")[0].split(",")
    shapes = {"x" if "b" in part else "w": [sizes[letter] for letter in part] for part in parts}
    weight = np.random.default_rng(0).normal(size=shapes["w"]).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Einsum", list(shapes), ["y"], "einsum", equation=equation)],
        "einsum",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shapes["x"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weight, "w")],
    )
    opsets = [helper.make_opsetid("", 17)]
    data: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
    return data


PRODUCTS = ("btc,cd->btd", "cd,btc->btd", "bcth,dc->bdth", "btc,td->bcd", "bthc,hcde->btde")


@pytest.mark.parametrize("equation", [*PRODUCTS, "btc,cd->dbt", "btc,c->bt", "bc,dc->bd"])
def test_einsum_with_weights_is_their_matrix_product(equation: str) -> None:
    data = einsum(equation)
    sizes = onnx.load_model_from_string(data).graph.input[0].type.tensor_type.shape.dim
    shape = (SAMPLES, *(size.dim_value for size in sizes[1:]))
    x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    quantized = quantize_onnx(data, x)
    _, (gap,) = steps_apart(quantized, {"x": x[:1]}, Path("einsum.onnx"))
    assert gap.max() == 0
    expected = answers(data, {"x": x})
    assert np.abs(answers(quantized, {"x": x}) - expected).max() <= NEAR * np.ptp(expected)


@pytest.mark.parametrize("equation", ["btc,c->btc", "btc,tcd->btd", "btc,dc->bt"])
def test_einsum_that_is_no_matrix_product_is_refused(equation: str, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(einsum(equation))
    with pytest.raises(InputError, match=r"(?s)1 operator has.*\n  Einsum  node einsum"):
        load_model(path, calibration=np.ones((1, 5, 4), np.float32))


def gathered(path: Path, places: list[list[int]], **attributes: int) -> Path:
    """A QDQ model that takes elements by their places on the first axes."""
    model = Model()
    index = model.constant("places", np.array(places, np.int64))
    y = model.node("GatherND", [model.input((1, 4, 6)), index], "gather", **attributes)
    return model.save(path, model.quantized(y, 0.02, 3))


@pytest.mark.parametrize("places", [[[0, 2], [0, -1], [-1, 1]], [[0, 3, 5], [0, 0, -6]], [[0]]])
def test_gather_nd_takes_elements_by_constant_places(places: Any, tmp_path: Path) -> None:
    path = gathered(tmp_path / "m.onnx", places)
    assert differences(path, load_model(path))[:2] == (0, 0)


def test_gather_nd_by_other_places_is_refused(tmp_path: Path) -> None:
    outside = gathered(tmp_path / "m.onnx", [[0, 4]])
    by_sample = gathered(tmp_path / "n.onnx", [[2]], batch_dims=1)
    for path in (outside, by_sample):
        with pytest.raises(InputError, match=r"\n  GatherND  node gather"):
            load_model(path)


@pytest.mark.parametrize("counted", [0, 1])
def test_an_average_that_is_cut_off_counts_what_it_covers(counted: int, tmp_path: Path) -> None:
    model = Model()
    attributes = {"kernel_shape": [2, 3], "strides": [2, 2], "ceil_mode": 1}
    x = model.input((1, 4, 7, 6))
    y = model.node("AveragePool", [x], count_include_pad=counted, **attributes)
    path = model.save(tmp_path / "m.onnx", model.quantized(y, 0.013, 5))
    differing, largest, elements = differences(path, load_model(path), fused=False)
    assert largest <= 1
    assert differing <= elements // 100
