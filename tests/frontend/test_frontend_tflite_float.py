# SPDX-License-Identifier: Apache-2.0
"""Float TFLite operators written as ONNX compute what LiteRT computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tflite_float_models import case, model_of

from tinytailor.compiler import load_model, references
from tinytailor.compiler.frontend.tflite.float_model import float_onnx
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.tvm]

RNG = np.random.default_rng(0)
MAP = (1, 7, 6, 4)
SAME, VALID = 0, 1
RELU, RELU6 = 1, 3


def real(*shape: int) -> np.ndarray:
    return RNG.normal(0, 1, shape).astype(np.float32)


def whole(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


STEP = {"strideH": 2, "strideW": 2}
PLAIN = {"strideH": 1, "strideW": 1}
DILATED = {"dilationHFactor": 2, "dilationWFactor": 1}
DENSE = {"dilationHFactor": 1, "dilationWFactor": 1}
HALF = (1, 4, 3, 4)

CASES = {
    "conv_same": case(
        "CONV_2D",
        [MAP, real(5, 3, 3, 4), real(5)],
        (1, 4, 3, 5),
        "Conv2DOptions",
        padding=SAME,
        fusedActivationFunction=RELU6,
        **STEP,
        **DENSE,
    ),
    "conv_dilated": case(
        "CONV_2D",
        [MAP, real(5, 3, 2, 4), real(5)],
        (1, 3, 5, 5),
        "Conv2DOptions",
        padding=VALID,
        **PLAIN,
        **DILATED,
    ),
    "depthwise_multiplier": case(
        "DEPTHWISE_CONV_2D",
        [MAP, real(1, 3, 3, 8), real(8)],
        (1, 4, 3, 8),
        "DepthwiseConv2DOptions",
        padding=SAME,
        depthMultiplier=2,
        fusedActivationFunction=RELU,
        **STEP,
        **DENSE,
    ),
    "transpose_conv_same": case(
        "TRANSPOSE_CONV",
        [whole(1, 14, 12, 5), real(5, 3, 3, 4), MAP],
        (1, 14, 12, 5),
        "TransposeConvOptions",
        padding=SAME,
        **STEP,
    ),
    "transpose_conv_valid": case(
        "TRANSPOSE_CONV",
        [whole(1, 15, 13, 5), real(5, 3, 3, 4), MAP],
        (1, 15, 13, 5),
        "TransposeConvOptions",
        padding=VALID,
        **STEP,
    ),
    "fully_connected": case(
        "FULLY_CONNECTED",
        [MAP, real(6, 168), real(6)],
        (1, 6),
        "FullyConnectedOptions",
        fusedActivationFunction=RELU,
    ),
    "average_pool": case(
        "AVERAGE_POOL_2D",
        [MAP],
        HALF,
        "Pool2DOptions",
        padding=SAME,
        filterHeight=3,
        filterWidth=3,
        **STEP,
    ),
    "max_pool": case(
        "MAX_POOL_2D",
        [MAP],
        (1, 3, 3, 4),
        "Pool2DOptions",
        padding=VALID,
        filterHeight=2,
        filterWidth=2,
        **STEP,
    ),
    "add": case("ADD", [MAP, MAP], MAP, "AddOptions", fusedActivationFunction=RELU),
    "sub": case("SUB", [MAP, real(4)], MAP, "SubOptions"),
    "mul": case("MUL", [MAP, (1, 1, 1, 4)], MAP, "MulOptions"),
    "div": case("DIV", [MAP, np.float32([2])], MAP, "DivOptions"),
    "maximum": case("MAXIMUM", [MAP, np.float32([0.2])], MAP, "MaximumMinimumOptions"),
    "minimum": case("MINIMUM", [MAP, MAP], MAP, "MaximumMinimumOptions"),
    "mean_map": case("MEAN", [MAP, whole(1, 2)], (1, 4), "ReducerOptions", keepDims=False),
    "mean_kept": case("MEAN", [MAP, whole(1, 2)], (1, 1, 1, 4), "ReducerOptions", keepDims=True),
    "mean_other": case("MEAN", [MAP, whole(3)], MAP[:3], "ReducerOptions", keepDims=False),
    "concat": case("CONCATENATION", [MAP, MAP], (1, 7, 6, 8), "ConcatenationOptions", axis=3),
    "reshape": case("RESHAPE", [MAP, whole(1, 168)], (1, 168), "ReshapeOptions", newShape=[1, 168]),
    "squeeze": case("SQUEEZE", [(1, 1, 1, 4)], (1, 4), "SqueezeOptions", squeezeDims=[1, 2]),
    "expand_dims": case("EXPAND_DIMS", [(1, 4), whole(1)], (1, 1, 4), "ExpandDimsOptions"),
    "transpose": case("TRANSPOSE", [MAP, whole(0, 2, 1, 3)], (1, 6, 7, 4), "TransposeOptions"),
    "pad": case("PAD", [MAP, whole(0, 0, 1, 2, 0, 1, 0, 0).reshape(4, 2)], (1, 10, 7, 4)),
    "padv2": case(
        "PADV2",
        [MAP, whole(0, 0, 1, 2, 0, 1, 0, 0).reshape(4, 2), np.float32([0.5])],
        (1, 10, 7, 4),
    ),
    "softmax": case("SOFTMAX", [(1, 9)], (1, 9), "SoftmaxOptions", beta=0.5),
    "logistic": case("LOGISTIC", [MAP], MAP),
    "tanh": case("TANH", [MAP], MAP),
    "relu6": case("RELU6", [MAP], MAP),
    "relu_n1_to_1": case("RELU_N1_TO_1", [MAP], MAP),
    "leaky_relu": case("LEAKY_RELU", [MAP], MAP, "LeakyReluOptions", alpha=0.2),
    "hard_swish": case("HARD_SWISH", [MAP], MAP),
    "elu": case("ELU", [MAP], MAP),
    "exp": case("EXP", [MAP], MAP),
    "prelu": case("PRELU", [MAP, np.abs(real(1, 1, 4))], MAP),
    "resize": case(
        "RESIZE_NEAREST_NEIGHBOR",
        [MAP, whole(11, 12)],
        (1, 11, 12, 4),
        "ResizeNearestNeighborOptions",
    ),
    "resize_half": case(
        "RESIZE_NEAREST_NEIGHBOR",
        [MAP, whole(11, 12)],
        (1, 11, 12, 4),
        "ResizeNearestNeighborOptions",
        halfPixelCenters=True,
    ),
    "resize_corners": case(
        "RESIZE_NEAREST_NEIGHBOR",
        [MAP, whole(11, 12)],
        (1, 11, 12, 4),
        "ResizeNearestNeighborOptions",
        alignCorners=True,
    ),
    "resize_bilinear": case(
        "RESIZE_BILINEAR", [MAP, whole(11, 12)], (1, 11, 12, 4), "ResizeBilinearOptions"
    ),
    "resize_bilinear_half": case(
        "RESIZE_BILINEAR",
        [MAP, whole(11, 12)],
        (1, 11, 12, 4),
        "ResizeBilinearOptions",
        halfPixelCenters=True,
    ),
    "resize_bilinear_corners": case(
        "RESIZE_BILINEAR",
        [MAP, whole(11, 12)],
        (1, 11, 12, 4),
        "ResizeBilinearOptions",
        alignCorners=True,
    ),
    "depth_to_space": case(
        "DEPTH_TO_SPACE", [(1, 3, 2, 8)], (1, 6, 4, 2), "DepthToSpaceOptions", blockSize=2
    ),
    "space_to_depth": case(
        "SPACE_TO_DEPTH", [(1, 6, 4, 2)], (1, 3, 2, 8), "SpaceToDepthOptions", blockSize=2
    ),
    "slice": case(
        "SLICE", [MAP, whole(0, 1, 2, 0), whole(1, 3, -1, 2)], (1, 3, 4, 2), "SliceOptions"
    ),
    "strided_slice": case(
        "STRIDED_SLICE",
        [MAP, whole(0, 5, 0, 1), whole(1, 0, 6, 3), whole(1, -2, 2, 1)],
        (1, 3, 3, 2),
        "StridedSliceOptions",
        beginMask=1,
        endMask=5,
    ),
    "strided_slice_shrunk": case(
        "STRIDED_SLICE",
        [MAP, whole(0, -1, 0, 0), whole(1, 0, 6, 4), whole(1, 1, 1, 1)],
        (1, 6, 4),
        "StridedSliceOptions",
        shrinkAxisMask=2,
    ),
    "split": case(
        "SPLIT", [whole(3), MAP], [(1, 7, 6, 2), (1, 7, 6, 2)], "SplitOptions", numSplits=2
    ),
}


def litert(data: bytes, feeds: list[np.ndarray]) -> list[np.ndarray]:
    pytest.importorskip("ai_edge_litert")
    interpreter = references.litert(data)
    for detail, array in zip(interpreter.get_input_details(), feeds, strict=True):
        interpreter.set_tensor(detail["index"], array)
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]


@pytest.mark.parametrize("name", CASES)
def test_an_operator_is_the_same_function_in_onnx(name: str) -> None:
    data = model_of(CASES[name])
    rng = np.random.default_rng(1)
    shapes = [item for item in CASES[name].inputs if isinstance(item, tuple)]
    feeds = [rng.normal(0, 2, shape).astype(np.float32) for shape in shapes]
    session = references.onnx_session(float_onnx(data, Path("model.tflite")))
    names = [item.name for item in session.get_inputs()]
    actual = session.run(None, dict(zip(names, feeds, strict=True)))
    for ours, expected in zip(actual, litert(data, feeds), strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-4)


def test_a_float_model_keeps_its_layout_and_is_compiled_with_calibration(tmp_path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(model_of(CASES["conv_same"]))
    graph = load_model(path, calibration=np.random.default_rng(0).normal(0, 1, (8, *MAP[1:])))
    assert graph.tensors[graph.inputs[0]].shape == MAP
    assert graph.tensors[graph.outputs[0]].shape == (1, 4, 3, 5)
    assert [node.op.kind for node in graph.nodes] == ["conv2d"]


def test_an_elementwise_first_layer_keeps_the_layout_of_the_file(tmp_path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(model_of(CASES["logistic"]))
    graph = load_model(path, calibration=np.random.default_rng(0).normal(0, 1, (8, *MAP[1:])))
    assert graph.tensors[graph.inputs[0]].shape == MAP
    assert [node.op.kind for node in graph.nodes] == ["lookup"]


def refused(data: bytes) -> str:
    with pytest.raises(InputError) as caught:
        float_onnx(data, Path("model.tflite"))
    return str(caught.value)


def test_operators_without_a_form_are_listed_by_name() -> None:
    text = refused(model_of(case("CUMSUM", [MAP], MAP)))
    assert "CUMSUM" in text
    assert "tensor t1" in text


def test_weights_that_the_model_computes_are_refused_with_the_reason() -> None:
    fields = {"padding": SAME, **PLAIN, **DENSE}
    model = case("CONV_2D", [MAP, (1, 3, 3, 4), real(1)], (1, 7, 6, 1), "Conv2DOptions", **fields)
    assert "its weight is computed by the model" in refused(model_of(model))


def test_a_quantized_model_needs_no_calibration(data_folder) -> None:
    path = data_folder / "mlperf_tiny/models/kws_int8.tflite"
    with pytest.raises(InputError, match="is quantized already"):
        load_model(path, calibration=np.zeros((1, 49, 10, 1), np.float32))


def test_damaged_files_end_in_onnx_or_an_input_error() -> None:
    data = model_of(CASES["conv_same"])
    rng = np.random.default_rng(0)
    results = set()
    for _ in range(150):
        broken = bytearray(data)
        for place in rng.integers(len(data), size=rng.integers(1, 6)):
            broken[place] = rng.integers(256)
        try:
            float_onnx(bytes(broken), Path("model.tflite"))
            results.add("onnx")
        except InputError:
            results.add("InputError")
    assert results == {"onnx", "InputError"}
