# SPDX-License-Identifier: Apache-2.0
"""Operators on integers (QLinearConv and its kin) compute what onnxruntime computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from qdq_models import Model, differences

from tinytailor.compiler import load_model
from tinytailor.compiler.execute import execute
from tinytailor.compiler.references import onnx_session
from tinytailor.targets.errors import InputError

pytestmark = [pytest.mark.tvm]

SHAPE = (1, 4, 6, 6)
MICROSOFT = "com.microsoft"


class Integers(Model):
    """A chain of operators on int8 tensors; every method returns (name, scale, zero point)."""

    def begin(self, shape: tuple[int, ...] = SHAPE) -> tuple[str, str, str]:
        self.inputs.append(helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape))
        scale, zero = self.affine(0.02, 3)
        return self.node("QuantizeLinear", ["x", scale, zero]), scale, zero

    def affine(self, scale: float, zero: int) -> tuple[str, str]:
        place = len(self.constants)
        return (
            self.constant(f"s{place}", np.float32(scale)),
            self.constant(f"z{place}", np.int8(zero)),
        )

    def kernel(self, shape: tuple[int, ...], scales: int = 0) -> list[str]:
        place = len(self.constants)
        scale = self.rng.uniform(0.5, 1.5, scales or 1).astype(np.float32) / 300
        zero = np.zeros(scales or 1, np.int8)
        return [
            self.constant(f"w{place}", self.rng.integers(-127, 128, shape).astype(np.int8)),
            self.constant(f"ws{place}", scale if scales else scale[0]),
            self.constant(f"wz{place}", zero if scales else zero[0]),
        ]

    def then(self, kind: str, inputs: list[str], scale: float, **attributes: object) -> tuple:
        s, z = self.affine(scale, -5)
        if kind == "QLinearConcat":
            inputs = [s, z, *inputs]
        elif kind == "QLinearConv" or kind == "QGemm":
            inputs = [*inputs[:6], s, z, *inputs[6:]] if kind == "QLinearConv" else inputs
            inputs = [*inputs, s, z] if kind == "QGemm" else inputs
        else:
            inputs = [*inputs, s, z]
        standard = kind in ("QLinearConv", "QLinearMatMul")
        domain = {} if standard else {"domain": MICROSOFT}
        return self.node(kind, inputs, f"/body/{kind}", **domain, **attributes), s, z

    def finish(self, path: Path, value: tuple[str, str, str], opset: int = 17) -> Path:
        y = self.node("DequantizeLinear", list(value), "end")
        return self.save(path, y, domains=(MICROSOFT,), opset=opset)


def conv(model: Integers, x: tuple) -> tuple:
    bias = model.constant("b", model.rng.integers(-3000, 3000, 8).astype(np.int32))
    operands = [*x, *model.kernel((8, 4, 3, 3), 8), bias]
    return model.then("QLinearConv", operands, 0.05, pads=[1, 1, 1, 1], strides=[2, 2])


def conv_one_scale(model: Integers, x: tuple) -> tuple:
    return model.then("QLinearConv", [*x, *model.kernel((8, 4, 1, 1))], 0.05)


def row(model: Integers, x: tuple) -> tuple:
    x = model.then("QLinearConv", [*x, *model.kernel((4, 4, 1, 1))], 0.03)
    flat = model.node("Reshape", [x[0], model.constant("row", np.array([1, -1]))])
    return flat, *x[1:]


def matmul(model: Integers, x: tuple) -> tuple:
    return model.then("QLinearMatMul", [*row(model, x), *model.kernel((144, 5), 5)], 0.05)


def gemm(model: Integers, x: tuple) -> tuple:
    bias = model.constant("c", model.rng.integers(-3000, 3000, 5).astype(np.int32))
    operands = [*row(model, x), *model.kernel((5, 144), 5), bias]
    return model.then("QGemm", operands, 0.05, transB=1, alpha=0.5)


def binary(kind: str):
    def write(model: Integers, x: tuple) -> tuple:
        other = model.then("QLinearConv", [*x, *model.kernel((4, 4, 1, 1))], 0.03)
        return model.then(kind, [*x, *other], 0.0613)

    return write


def unary(kind: str, scale: float = 0.05, **attributes: object):
    return lambda model, x: model.then(kind, list(x), scale, **attributes)


def concat(model: Integers, x: tuple) -> tuple:
    other = model.then("QLinearConv", [*x, *model.kernel((4, 4, 1, 1))], 0.03)
    return model.then("QLinearConcat", [*x, *other], 0.04, axis=1)


def softmax(model: Integers, x: tuple) -> tuple:
    return model.then("QLinearSoftmax", list(matmul(model, x)), 1 / 256, axis=-1, opset=17)


def moved(model: Integers, x: tuple) -> tuple:
    """MaxPool and Transpose on integers between two layers."""
    x = model.then("QLinearConv", [*x, *model.kernel((4, 4, 1, 1))], 0.03)
    pooled = model.node("MaxPool", [x[0]], kernel_shape=[2, 2], strides=[2, 2])
    turned = model.node("Transpose", [pooled], perm=[0, 2, 3, 1])
    flat = model.node("Reshape", [turned, model.constant("row", np.array([1, -1]))])
    return model.then("QLinearMatMul", [flat, *x[1:], *model.kernel((36, 5), 5)], 0.05)


CHAINS = {
    "conv": conv,
    "conv_one_scale": conv_one_scale,
    "matmul": matmul,
    "gemm": gemm,
    "add": binary("QLinearAdd"),
    "mul": binary("QLinearMul"),
    "sigmoid": unary("QLinearSigmoid", 1 / 256),
    "leaky_relu": unary("QLinearLeakyRelu", alpha=0.1),
    "average_pool": unary("QLinearAveragePool", 0.0137, kernel_shape=[2, 2], strides=[2, 2]),
    "global_average_pool": unary("QLinearGlobalAveragePool", 0.0137),
    "concat": concat,
    "softmax": softmax,
    "moved": moved,
}


@pytest.mark.parametrize("name", CHAINS)
def test_an_operator_on_integers_equals_onnxruntime_but_for_single_steps(name, tmp_path) -> None:
    model = Integers()
    path = model.finish(tmp_path / "model.onnx", CHAINS[name](model, model.begin()))
    graph = load_model(path)
    count, largest, elements = differences(path, graph)
    print(f"{count} of {elements} elements differ")
    assert largest <= 1
    assert count <= elements // 50


def test_errors_name_the_operator_and_node_of_the_file(tmp_path: Path) -> None:
    model = Integers()
    x = model.begin()
    weight = model.kernel((8, 4, 3, 3))
    weight[2] = model.constant("asymmetric", np.int8(90))
    y = model.then("QLinearConv", [*x, *weight], 0.05)
    with pytest.raises(InputError, match="zero point") as caught:
        load_model(model.finish(tmp_path / "model.onnx", y))
    assert "QLinearConv  node /body/QLinearConv" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("scale", "its weight scale is computed by the model"),
        ("layout", "channels_last=1"),
        ("opset", "softmax of opset 9 in a model of opset 17"),
    ],
)
def test_what_cannot_be_rewritten_is_refused_with_the_reason(change, reason, tmp_path) -> None:
    model = Integers()
    x = model.begin()
    if change == "scale":
        weight = model.kernel((8, 4, 1, 1))
        weight[1] = model.node("Identity", [weight[1]])
        bias = model.constant("b", np.zeros(8, np.int32))
        y = model.then("QLinearConv", [*x, *weight, bias], 0.05)
    elif change == "layout":
        y = model.then("QLinearGlobalAveragePool", list(x), 0.05, channels_last=1)
    else:
        y = model.then("QLinearSoftmax", list(row(model, x)), 1 / 256, axis=1, opset=9)
    with pytest.raises(InputError) as caught:
        load_model(model.finish(tmp_path / "model.onnx", y))
    assert reason in str(caught.value)


@pytest.mark.parametrize("kind", ["ConvInteger", "MatMulInteger", "DynamicQuantizeLinear"])
def test_dynamic_quantization_is_refused_with_a_hint(kind, tmp_path: Path) -> None:
    model = Integers()
    x = model.begin()
    inputs = ["x"] if kind.startswith("Dynamic") else [x[0], model.kernel((4, 4, 1, 1))[0]]
    y = model.node(kind, inputs, f"/dynamic/{kind}")
    with pytest.raises(InputError) as caught:
        load_model(model.save(tmp_path / "model.onnx", y))
    assert f"node /dynamic/{kind}" in str(caught.value)
    assert "quantize statically" in str(caught.value)


def test_micro_kws_of_qoperator_form_equals_onnxruntime_but_for_single_steps(data_folder) -> None:
    path = data_folder / "mlperf_tiny/onnx/micro_kws_m_static_qoperator.onnx"
    graph = load_model(path)
    session = onnx_session(path)
    x = spectrograms(data_folder, 60)
    source, result = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    steps = np.rint(x / np.float32(source.scale)) + source.zero_point
    integers = np.clip(steps, -128, 127).astype(np.int8)
    name = session.get_inputs()[0].name
    real = np.concatenate([session.run(None, {name: row[None]})[0] for row in x])
    expected = np.rint(real / np.float32(result.scale)) + result.zero_point
    gap = np.abs(execute(graph, integers)[0] - expected)
    print(f"{np.count_nonzero(gap)} of {gap.size} elements differ, at most by {gap.max():g}")
    assert gap.max() <= 1
    assert len(np.unique(expected.argmax(axis=1))) > 3  # the inputs mean something


def spectrograms(data_folder: Path, count: int) -> np.ndarray:
    """Log spectrograms (count, 49 * 40) of recorded words, scaled to what the model reads."""
    sound = np.load(data_folder / "speech/speech_commands_300.npz")["x"][:: 300 // count][:count]
    frames = np.lib.stride_tricks.sliding_window_view(sound / 32768.0, 640, axis=1)[:, ::320][
        :, :49
    ]
    power = np.abs(np.fft.rfft(frames * np.hanning(640), axis=-1)) ** 2
    bands = np.add.reduceat(power[..., 2:202], np.arange(0, 200, 5), axis=-1)
    logs = np.log10(bands + 1e-7)
    scaled = (logs - logs.mean()) / logs.std() * 2
    return scaled.reshape(len(sound), -1).astype(np.float32)
