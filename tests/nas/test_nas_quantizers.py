# SPDX-License-Identifier: Apache-2.0
"""What every quantizer must do, and that training, graph and ONNX compute the same integers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from tinytailor.compiler import execute, key_of, load_model
from tinytailor.compiler.ops import Conv2d, DepthwiseConv2d
from tinytailor.compiler.references import onnx_session
from tinytailor.nas.network.float_network import FloatNetwork, as_input, same_conv
from tinytailor.nas.network.onnx_file import export_onnx
from tinytailor.nas.quantization import (
    QUANTIZERS,
    Affine,
    QuantizedNetwork,
    Quantizer,
    dequantize,
    quantize,
)
from tinytailor.nas.spaces import Option, architecture, build_space
from tinytailor.nas.training.qat import QatNetwork, calibrate

ALL = pytest.mark.parametrize("quantizer", QUANTIZERS.values(), ids=QUANTIZERS)
SHAPES = [(30, 5, 3), (100, 6, 4), (25, 12, 9), (40, 1, 2), (10, 18, 3, 4)]
EVEN = (12, 16, 3, 4)  # its last map has 8 * 6 pixels, whose mean can be an exact half
SPACE_OF_RANK = {3: "timeseries", 4: "image"}
KINDS = pytest.mark.parametrize("shape", [SHAPES[0], EVEN], ids=["series", "images"])
PARTS: dict[str, dict[str, Option]] = {
    "timeseries": {"fusion0.residual": 1, "fusion0.branches": (3, 7), "fusion1.keep": 1},
    "image": {
        "stage0.repeat1.keep": 1,
        "stage0.repeat1.hidden": 0,
        "stage0.repeat2.keep": 1,
        "stage0.repeat2.hidden": 32,
    },
}


def trained(
    quantizer: Quantizer, shape: tuple[int, ...] = (30, 5, 3), seed: int = 0
) -> tuple[QatNetwork, np.ndarray]:
    """A network with uneven batch norm and samples for it.

    Of series: with sums of two branches and residuals; of images: with blocks of either form.
    """
    space = build_space(SPACE_OF_RANK[len(shape)], *shape)
    rng = np.random.default_rng(seed)
    choice = dict(space.sample(rng).choices)
    choice.update(PARTS[space.name])
    generator = torch.Generator().manual_seed(seed)
    network = FloatNetwork(space.topology(architecture(space, choice)), generator)
    x = rng.normal(0.0, 1.0, (24, *shape[:-1])).astype(np.float32)
    with torch.no_grad():
        for name, value in network.named_parameters():
            if "norm" in name:
                value.add_(0.3 * torch.randn(value.shape, generator=generator))
        for _ in range(20):
            network.train()(as_input(x))
    network.eval()
    folded = network.folded()
    activations = calibrate(network.topology, folded, as_input(x), quantizer)
    return QatNetwork(network.topology, folded, activations, quantizer), x


def test_folding_the_batch_norm_changes_nothing() -> None:
    space = build_space("timeseries", 30, 5, 3)
    generator = torch.Generator().manual_seed(0)
    network = FloatNetwork(space.topology(space.sample(np.random.default_rng(0))), generator)
    x = torch.randn((4, 1, 30, 5), generator=generator)
    for _ in range(5):
        network.train()(x)
    network.eval()
    for layer in network.topology.convs:
        block, folded = network.block(layer.name), network.folded()[layer.name]
        value = torch.randn((2, folded.weight.shape[1], 9, 5), generator=generator)
        with torch.no_grad():
            expected = block(value)
            actual = same_conv(value, folded.weight, folded.bias, layer.stride)
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


@ALL
@pytest.mark.parametrize("shape", [*SHAPES, EVEN], ids=str)
def test_evaluation_is_the_integer_graph_element_for_element(
    quantizer: Quantizer, shape: tuple[int, ...]
) -> None:
    network, x = trained(quantizer, shape)
    integers = network.quantized()
    (logits,) = execute(integers.graph(), integers.quantize_input(x))
    seen = network.eval()(as_input(x)).numpy()
    np.testing.assert_array_equal(seen, dequantize(logits, integers.output))
    assert len(np.unique(logits)) > 3


@ALL
@KINDS
def test_simulated_training_differs_from_the_integers_by_one_step_at_most(
    quantizer: Quantizer, shape: tuple[int, ...]
) -> None:
    for seed in range(4):
        network, x = trained(quantizer, shape, seed)
        step = network.quantized().output.scale
        with torch.no_grad():
            simulated = network.train()(as_input(x))
            computed = network.eval()(as_input(x))
        assert float((simulated - computed).abs().max()) <= 1.01 * step


@ALL
@KINDS
def test_integers_are_in_range_and_no_multiplier_needs_a_shift(
    quantizer: Quantizer, shape: tuple[int, ...]
) -> None:
    network, _ = trained(quantizer, shape)
    graph = network.quantized().graph()
    convs = [node for node in graph.nodes if isinstance(node.op, Conv2d | DepthwiseConv2d)]
    assert len(convs) == len(network.topology.convs)
    for node in convs:
        assert np.abs(node.constants["weight"].astype(int)).max() <= 127
        assert node.op.requant.shift == 0
        assert (node.constants["multiplier"] > 0).all()
    assert network.quantized().output == network.activations[network.topology.convs[-1].name]


@ALL
def test_zero_is_exact_and_ranges_are_covered(quantizer: Quantizer) -> None:
    for low, high in [(0.0, 6.0), (-1.0, 3.0), (-2.0, -1.0), (0.5, 1.0), (0.0, 0.0)]:
        affine = quantizer.activation(low, high)
        assert affine.scale == float(np.float32(affine.scale))
        assert dequantize(quantize(np.zeros(1), affine), affine)[0] == 0.0
        ends = np.array([low, high], np.float32)
        error = np.abs(dequantize(quantize(ends, affine), affine) - ends)
        assert (error <= 1.01 * affine.scale).all()


@ALL
@KINDS
def test_gradients_pass_through_the_rounding(quantizer: Quantizer, shape: tuple[int, ...]) -> None:
    network, x = trained(quantizer, shape)
    network.train()(as_input(x)).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name


@ALL
def test_dead_channels_and_huge_biases_stay_within_int32(quantizer: Quantizer) -> None:
    network, x = trained(quantizer)
    name = next(iter(network.weights))
    with torch.no_grad():
        network.weights[name][0] = 0.0
        network.biases[name][0] = 1e4
        network.weights[name][1] = 1e-12
    integers = network.quantized()
    for conv in integers.convs.values():
        assert np.isfinite(conv.weight_scale).all()
        assert (conv.weight_scale > 0).all()
        assert np.abs(conv.bias.astype(np.int64)).max() <= 2**30
    assert integers.run(integers.quantize_input(x)).shape == (24, 3)


def test_input_quantization_rounds_half_to_even_and_saturates_like_onnx() -> None:
    affine = Affine(0.5, -3)
    x = np.array([0.0, 0.25, 0.75, -0.25, 1e9, -1e9], np.float32)
    assert quantize(x, affine).tolist() == [-3, -3, -1, -3, 127, -128]


def exported(network: QuantizedNetwork, path: Path) -> Path:
    export_onnx(network, path, "tiny", {"class_names": '["a", "b"]'})
    return path


@ALL
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_onnx_file_runs_in_onnxruntime_within_one_step(
    quantizer: Quantizer, shape: tuple[int, ...], tmp_path: Path
) -> None:
    network, x = trained(quantizer, shape)
    integers = network.quantized()
    path = exported(integers, tmp_path / "model.onnx")
    onnx.checker.check_model(str(path), full_check=True)
    session = onnx_session(path)
    theirs = np.concatenate([session.run(None, {"input": s[None]})[0] for s in as_input(x).numpy()])
    ours = integers.run(integers.quantize_input(x)).astype(int)
    steps = np.abs(quantize(theirs, integers.output).astype(int) - ours)
    assert steps.max() <= 1
    assert (steps != 0).mean() <= 0.1  # elements that differ: rounding of the mean and of requants


@ALL
@pytest.mark.parametrize("shape", [*SHAPES, EVEN], ids=str)
def test_the_imported_file_computes_the_integers_of_training_bit_for_bit(
    quantizer: Quantizer, shape: tuple[int, ...], tmp_path: Path
) -> None:
    network, x = trained(quantizer, shape)
    integers = network.quantized()
    graph = load_model(exported(integers, tmp_path / "model.onnx"))
    q = integers.quantize_input(x)
    (logits,) = execute(graph, q)
    np.testing.assert_array_equal(logits, integers.run(q))
    (source,) = (graph.tensors[name] for name in graph.inputs)
    assert source.shape == integers.topology.input_shape
    assert source.scale == pytest.approx(integers.input.scale, rel=1e-7)
    assert source.zero_point == integers.input.zero_point


@ALL
@KINDS
def test_the_imported_file_needs_only_operators_that_the_space_lists(
    quantizer: Quantizer, shape: tuple[int, ...], tmp_path: Path
) -> None:
    network, _ = trained(quantizer, shape)
    graph = load_model(exported(network.quantized(), tmp_path / "model.onnx"))
    used = {key_of(n, graph, "dsp") for n in graph.nodes if n.op.kind != "reshape"}
    assert used == set(network.topology.keys("dsp"))
    assert used <= set(build_space(SPACE_OF_RANK[len(shape)], *shape).keys("dsp"))


@ALL
def test_exporting_twice_gives_the_same_bytes(quantizer: Quantizer, tmp_path: Path) -> None:
    network, _ = trained(quantizer)
    first = exported(network.quantized(), tmp_path / "a.onnx").read_bytes()
    assert exported(network.quantized(), tmp_path / "b.onnx").read_bytes() == first
