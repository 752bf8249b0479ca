# SPDX-License-Identifier: Apache-2.0
"""The MLPerf Tiny int8 models against LiteRT's optimized (XNNPACK) kernels, element for element."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qdq_models import execute

from tinytailor.compiler import load_model, references
from tinytailor.compiler.ops import (
    AveragePool2d,
    Conv2d,
    Dense,
    DepthwiseConv2d,
    MaxPool2d,
    Reshape,
    Softmax,
)
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.tvm]


@pytest.fixture(scope="module")
def folder(data_folder: Path) -> Path:
    return data_folder / "mlperf_tiny"


def in_batches(graph, x: np.ndarray) -> np.ndarray:
    return np.concatenate([execute(graph, x[i : i + 50]) for i in range(0, len(x), 50)])


def test_keyword_spotting_equals_litert_on_all_thousand_recordings(folder: Path) -> None:
    graph = load_model(folder / "models" / "kws_int8.tflite")
    kinds = [type(node.op) for node in graph.nodes]
    assert kinds == [Conv2d, *[DepthwiseConv2d, Conv2d] * 4, AveragePool2d, Reshape, Dense, Softmax]
    recordings = np.load(folder / "inputs" / "kws01.npz")
    y = in_batches(graph, recordings["x"][..., None])
    equal = np.all(y == recordings["tflite_xnnpack"], axis=1)
    assert np.count_nonzero(equal) == 1000
    assert np.count_nonzero(y.argmax(axis=1) == recordings["y"]) == 902


def test_resnet8_equals_litert_but_for_single_steps(folder: Path, data_folder: Path) -> None:
    """LiteRT rounds acc * scale in float32: one of 1000 outputs ends on the other side."""
    path = folder / "models" / "ic_resnet8_int8.tflite"
    graph = load_model(path)
    images = np.load(data_folder / "cifar10" / "cifar10_train100_lossless.npz")["x"]
    x = (images.astype(np.int16) - 128).astype(np.int8)
    gap = np.abs(in_batches(graph, x).astype(int) - litert(path, x))
    assert gap.max() <= 1
    assert np.count_nonzero(gap) <= 1


def litert(path: Path, x: np.ndarray) -> np.ndarray:
    """The outputs of LiteRT for int8 inputs, one row each."""
    pytest.importorskip("ai_edge_litert")
    session = references.litert(path)
    source, result = session.get_input_details()[0], session.get_output_details()[0]
    rows = []
    for sample in x:
        session.set_tensor(source["index"], sample.reshape(source["shape"]))
        session.invoke()
        rows.append(session.get_tensor(result["index"])[0].copy())
    return np.array(rows)


def test_micro_kws_equals_litert_but_for_single_steps(folder: Path) -> None:
    path = folder / "models" / "micro_kws_m_int8.tflite"
    graph = load_model(path)
    assert MaxPool2d in [type(node.op) for node in graph.nodes]
    shape = graph.tensors[graph.inputs[0]].shape
    x = np.random.default_rng(4).integers(-128, 128, (50, *shape[1:])).astype(np.int8)
    gap = np.abs(execute(graph, x).astype(int) - litert(path, x))
    print(f"{np.count_nonzero(gap)} of {gap.size} elements differ, at most by {gap.max()}")
    assert gap.max() <= 1


@pytest.mark.parametrize("name", ["kws_float32", "ic_resnet8_float"])
def test_float_models_are_told_to_quantize(name: str, folder: Path) -> None:
    with pytest.raises(InputError, match="--calibration"):
        load_model(folder / "models" / f"{name}.tflite")


def test_a_fully_connected_layer_may_read_a_map_as_a_row(folder: Path, tmp_path: Path) -> None:
    """The same network with its RESHAPE bypassed."""
    tflite = pytest.importorskip("tflite")
    data = bytearray((folder / "models" / "kws_int8.tflite").read_bytes())
    model = tflite.Model.GetRootAsModel(data, 0)
    subgraph = model.Subgraphs(0)
    operators = {
        model.OperatorCodes(operator.OpcodeIndex()).DeprecatedBuiltinCode(): operator
        for operator in map(subgraph.Operators, range(subgraph.OperatorsLength()))
    }
    pool = operators[tflite.BuiltinOperator.AVERAGE_POOL_2D].Outputs(0)
    wiring = operators[tflite.BuiltinOperator.FULLY_CONNECTED].InputsAsNumpy()
    wiring.flags.writeable = True
    wiring[0] = pool
    (tmp_path / "model.tflite").write_bytes(data)
    graph = load_model(tmp_path / "model.tflite")
    recordings = np.load(folder / "inputs" / "kws01.npz")
    y = execute(graph, recordings["x"][:20, ..., None])
    np.testing.assert_array_equal(y, recordings["tflite_xnnpack"][:20])
