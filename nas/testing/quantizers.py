# SPDX-License-Identifier: Apache-2.0
"""The conformance kit of quantizers: training, graph and ONNX file compute the same integers.

@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_my_quantizer(check, tmp_path):
    for topology in NETWORKS.values():
        check(Subject(MyQuantizer(), topology, tmp_path))
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from tinytailor.compiler import execute, key_of, load_model
from tinytailor.compiler.memory.aliasing import computing
from tinytailor.compiler.references import onnx_session
from tinytailor.nas.layers import Layer
from tinytailor.nas.layers.addition import Addition
from tinytailor.nas.layers.convolution import Convolution
from tinytailor.nas.layers.depthwise_convolution import DepthwiseConvolution
from tinytailor.nas.layers.mean_pool import MeanPool
from tinytailor.nas.network.float_network import as_input
from tinytailor.nas.network.onnx_file import export_onnx
from tinytailor.nas.network.topology import INPUT, Topology
from tinytailor.nas.quantization import Quantizer, dequantize, quantize
from tinytailor.nas.testing.networks import quantized_network, random_input
from tinytailor.nas.training.qat import QatNetwork

LARGEST_BIAS = 2**30  # the device adds 2^30 of products to it at most
NEAR = 0.05  # in standard deviations of the logits; exact halves are rounded either way


def conv(name: str, source: str, kernel: tuple[int, int], channels: int, step: int = 1) -> Layer:
    stride = (step, step if kernel[1] > 1 else 1)
    return Layer(name, (source,), Convolution(kernel, stride, channels=channels))


def linear(name: str, source: str, channels: int, norm: bool = True) -> Layer:
    return Layer(name, (source,), Convolution((1, 1), relu=False, norm=norm, channels=channels))


# Their means are over odd numbers of pixels: no exact halves, which runtimes round either way.
NETWORKS: dict[str, Topology] = {
    "series": Topology(
        (1, 29, 5, 1),
        (
            conv("time", INPUT, (5, 1), 8, 2),
            conv("sensors", "time", (1, 5), 8),
            conv("short", "sensors", (3, 1), 12),
            conv("long", "sensors", (7, 1), 12),
            Layer("both", ("short", "long"), Addition()),
            conv("beside", "time", (1, 1), 12),
            Layer("sum", ("both", "beside"), Addition()),
            linear("classify", "sum", 3, norm=False),
            Layer("pool", ("classify",), MeanPool()),
        ),
    ),
    "image": Topology(
        (1, 10, 18, 3),
        (
            conv("stem", INPUT, (3, 3), 8, 2),
            conv("expand", "stem", (1, 1), 16),
            Layer("filter", ("expand",), DepthwiseConvolution((3, 3))),
            linear("project", "filter", 8),
            Layer("sum", ("project", "stem"), Addition()),
            Layer("reduce", ("sum",), DepthwiseConvolution((5, 5), (2, 2))),
            conv("head", "reduce", (1, 1), 24),
            Layer("pool", ("head",), MeanPool()),
            linear("classify", "pool", 4, norm=False),
        ),
    ),
}


@dataclass(frozen=True)
class Subject:
    """A quantizer and a network that it quantizes; files go into ``folder``."""

    quantizer: Quantizer
    topology: Topology
    folder: Path

    @cached_property
    def x(self) -> np.ndarray:
        return random_input(self.topology, seed=0)

    def network(self, seed: int = 0) -> QatNetwork:
        return quantized_network(self.topology, self.quantizer, self.x, seed)

    def exported(self, name: str = "model") -> Path:
        path = self.folder / f"{name}.onnx"
        export_onnx(self.network().quantized(), path, "tiny", {"class_names": '["a", "b"]'})
        return path


def zero_is_exact_and_ranges_are_covered(subject: Subject) -> None:
    for low, high in [(0.0, 6.0), (-1.0, 3.0), (-2.0, -1.0), (0.5, 1.0), (0.0, 0.0)]:
        affine = subject.quantizer.activation(low, high)
        assert affine.scale == float(np.float32(affine.scale))
        assert dequantize(quantize(np.zeros(1), affine), affine)[0] == 0.0
        ends = np.array([low, high], np.float32)
        error = np.abs(dequantize(quantize(ends, affine), affine) - ends)
        assert (error <= 1.01 * affine.scale).all()


def fake_values_are_those_of_the_integers(subject: Subject) -> None:
    """Of activations and of weights; what is on the grid already stays."""
    quantizer = subject.quantizer
    affine = quantizer.activation(-1.0, 2.0)
    values = torch.linspace(-1.5, 2.5, 501)
    fake = quantizer.fake_activation(values, affine)
    computed = dequantize(quantize(values.numpy(), affine), affine)
    np.testing.assert_allclose(fake.numpy(), computed, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(quantizer.fake_activation(fake, affine), fake)
    weight = torch.linspace(-1.0, 1.0, 36).reshape(4, 1, 3, 3)
    scale = quantizer.weight_scale(weight, torch.zeros(4), affine, affine)
    integers = quantizer.integers(weight, scale)
    assert torch.equal(integers, torch.round(integers))
    fake = quantizer.fake_weight(weight, scale)
    torch.testing.assert_close(fake, integers * scale.reshape(-1, 1, 1, 1))


def evaluation_is_the_integer_graph_element_for_element(subject: Subject) -> None:
    network = subject.network()
    integers = network.quantized()
    (logits,) = execute(integers.graph(), integers.quantize_input(subject.x))
    seen = network.eval()(as_input(subject.x)).numpy()
    np.testing.assert_array_equal(seen, dequantize(logits, integers.output))
    assert len(np.unique(logits)) > 3


def simulated_training_is_near_the_integers(subject: Subject) -> None:
    for seed in range(4):
        network = subject.network(seed)
        with torch.no_grad():
            simulated = network.train()(as_input(subject.x))
            computed = network.eval()(as_input(subject.x))
        apart = torch.sqrt(torch.mean((simulated - computed) ** 2))
        assert float(apart) <= NEAR * float(computed.std())


def trained_integers_need_only_operators_that_were_priced(subject: Subject) -> None:
    """No multiplier that needs a shift, no sum too wide: what is measured is what will run."""
    graph = subject.network().quantized().graph()
    used = [key_of(node, graph, "dsp") for node in computing(graph)]
    assert used == list(subject.topology.keys("dsp"))


def gradients_pass_through_the_rounding(subject: Subject) -> None:
    network = subject.network()
    network.train()(as_input(subject.x)).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name


def dead_channels_and_huge_biases_stay_within_int32(subject: Subject) -> None:
    network = subject.network()
    weights = next(iter(network.weights.values()))
    assert isinstance(weights, nn.ParameterDict)
    with torch.no_grad():
        weights["weight"][0] = 0.0
        weights["bias"][0] = 1e4
        weights["weight"][1] = 1e-12
    integers = network.quantized()
    for step in integers.integers.values():
        if not step:
            continue
        assert np.isfinite(step["weight_scale"]).all()
        assert (step["weight_scale"] > 0).all()
        assert np.abs(step["bias"].astype(np.int64)).max() <= LARGEST_BIAS
    rows = integers.run(integers.quantize_input(subject.x))
    assert rows.shape == (len(subject.x), subject.topology.shapes[subject.topology.output][3])


def the_onnx_file_runs_in_onnxruntime_near_the_integers(subject: Subject) -> None:
    integers = subject.network().quantized()
    path = subject.exported()
    onnx.checker.check_model(str(path), full_check=True)
    session = onnx_session(path)
    rows = [session.run(None, {"input": x[None]})[0] for x in as_input(subject.x).numpy()]
    ours = dequantize(integers.run(integers.quantize_input(subject.x)), integers.output)
    apart = np.sqrt(np.mean((np.concatenate(rows) - ours) ** 2))
    assert apart <= NEAR * ours.std()


def the_imported_file_computes_the_integers_of_training_bit_for_bit(subject: Subject) -> None:
    integers = subject.network().quantized()
    graph = load_model(subject.exported())
    q = integers.quantize_input(subject.x)
    (logits,) = execute(graph, q)
    np.testing.assert_array_equal(logits, integers.run(q))
    (source,) = (graph.tensors[name] for name in graph.inputs)
    assert source.shape == subject.topology.input_shape
    assert np.isclose(source.scale, integers.input.scale, rtol=1e-7)
    assert source.zero_point == integers.input.zero_point
    assert [key_of(n, graph, "dsp") for n in computing(graph)] == list(subject.topology.keys("dsp"))


def exporting_twice_gives_the_same_bytes(subject: Subject) -> None:
    assert subject.exported("a").read_bytes() == subject.exported("b").read_bytes()


Check = Callable[[Subject], None]
CHECKS: tuple[Check, ...] = (
    zero_is_exact_and_ranges_are_covered,
    fake_values_are_those_of_the_integers,
    evaluation_is_the_integer_graph_element_for_element,
    simulated_training_is_near_the_integers,
    trained_integers_need_only_operators_that_were_priced,
    gradients_pass_through_the_rounding,
    dead_channels_and_huge_biases_stay_within_int32,
    the_onnx_file_runs_in_onnxruntime_near_the_integers,
    the_imported_file_computes_the_integers_of_training_bit_for_bit,
    exporting_twice_gives_the_same_bytes,
)
