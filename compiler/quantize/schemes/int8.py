# SPDX-License-Identifier: Apache-2.0
"""int8 weights, symmetric with one scale per output channel; int8 activations, one scale and zero
point per tensor, from the smallest and largest value over the samples.

    activation  s = (max - min) / 255   z = round(-128 - min / s)   0 is always in the range
    weight      s_c = max |w_c| / 127
    bias        int32 with the scale s_x s_c; where that is too fine for the bias, s_c grows
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinytailor.compiler.quantize.calibrate import Range, ranges
from tinytailor.compiler.quantize.plan import Wiring, integers_of, shared_ranges, wiring
from tinytailor.compiler.quantize.prepare import Constants, attribute
from tinytailor.targets.errors import InputError

BIAS_LIMIT = 2**24  # steps of the accumulator; weights below its resolution do not matter beside it


def quantize(model: Any, samples: Sequence[dict[str, np.ndarray]], file: str) -> Any:
    """``model`` (changed in place) with Q/DQ pairs; ``samples``: inputs by name, batch 1 each."""
    wires = wiring(model)
    chosen = integers_of(wires)
    if not chosen:
        raise InputError(f"{file} has no float tensor to quantize")
    measured = ranges(model, chosen, samples, file)
    writer = Writer(model, shared_ranges(wires, chosen, measured))
    for name in wires.inputs:
        writer.pair(name, wires)
    for node in wires.nodes:
        writer.layer(node)
        writer.nodes.append(node)
        for name in node.output:
            writer.pair(name, wires)
    writer.finish()
    return model


def affine(bounds: Range) -> tuple[np.ndarray, np.ndarray]:
    """(scale, zero point) that put ``bounds``, which hold 0, on -128..127."""
    low, high = bounds
    scale = np.float32((high - low) / 255) or np.float32(1.0)
    if not np.isfinite(scale) or scale < np.finfo(np.float32).tiny:
        raise InputError(f"a tensor has the range {low:g} to {high:g}, which int8 cannot express")
    zero = np.clip(np.rint(-128 - np.float64(low) / scale), -128, 127)
    return np.asarray(scale, np.float32), np.asarray(zero, np.int8)


class Writer:
    """Collects the nodes of the quantized graph; T becomes T_real, T_int8 and again T."""

    def __init__(self, model: Any, bounds: dict[str, Range]) -> None:
        self.model = model
        self.bounds = bounds
        self.constants = Constants(model.graph)
        self.nodes: list[Any] = []
        self.renamed: dict[str, str] = {}  # inputs of the graph -> their real values after Q/DQ

    def node(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        from onnx import helper

        name = f"{output}_{kind}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name, **attributes))
        return output

    def fresh(self, name: str) -> str:
        return self.constants.fresh(name)

    def pair(self, name: str, wires: Wiring) -> None:
        """Q and DQ behind ``name``: readers of a computed tensor need not change."""
        if name not in self.bounds:
            return
        scale, zero = affine(self.bounds[name])
        s = self.constants.add(f"{name}_scale", scale)
        z = self.constants.add(f"{name}_zero_point", zero)
        if name in wires.inputs:
            source, result = name, self.fresh(f"{name}_dequantized")
            self.renamed[name] = result
        else:
            source, result = self.fresh(f"{name}_real"), name
            maker = wires.makers[name]
            for place, output in enumerate(maker.output):
                if output == name:
                    maker.output[place] = source
        integers = self.fresh(f"{name}_int8")
        quantized = self.node("QuantizeLinear", [source, s, z], integers)
        self.node("DequantizeLinear", [quantized, s, z], result)

    def layer(self, node: Any) -> None:
        """The inputs of a node: quantized weights and bias, and what its inputs are called now."""
        axes = channel_axis(node)
        x = node.input[0] if node.input else ""
        if axes is not None and len(node.input) > 1 and node.input[1] in self.constants:
            weight = self.constants.array(node.input[1])
            bias = None
            last = node.input[2] if len(node.input) > 2 else ""
            if node.op_type != "MatMul" and last in self.constants:
                bias = self.constants.array(last)
            step = affine(self.bounds[x])[0] if x in self.bounds else None
            if weight.ndim >= 2 and weight.dtype == np.float32 and weight.size:
                self.weights(node, weight, axes, bias, step)
        for place, name in enumerate(node.input):
            node.input[place] = self.renamed.get(name, name)

    def weights(
        self,
        node: Any,
        weight: np.ndarray,
        axis: int,
        bias: np.ndarray | None,
        step: np.ndarray | None,
    ) -> None:
        groups = attribute(node, "group", 1) if node.op_type == "ConvTranspose" else 1
        scale = weight_scale(weight, axis, bias if groups == 1 else None, step)
        along = [1] * weight.ndim
        along[axis % weight.ndim] = -1
        integers = np.clip(np.rint(weight / scale.reshape(along)), -127, 127).astype(np.int8)
        name = node.input[1]
        inputs = [
            self.constants.add(f"{name}_int8", integers),
            self.constants.add(f"{name}_scale", scale),
            self.constants.add(f"{name}_zero_point", np.zeros(scale.shape, np.int8)),
        ]
        result = self.fresh(f"{name}_weights")
        node.input[1] = self.node("DequantizeLinear", inputs, result, axis=axis % weight.ndim)
        if bias is None or step is None or bias.size != scale.size * groups:
            return
        unit = (step * np.tile(scale, groups)).astype(np.float32)
        steps = np.rint(bias.reshape(-1).astype(np.float64) / unit)
        inputs = [
            self.constants.add(f"{node.name}_bias_int32", steps.astype(np.int32)),
            self.constants.add(f"{node.name}_bias_scale", unit),
            self.constants.add(f"{node.name}_bias_zero_point", np.zeros(unit.shape, np.int32)),
        ]
        result = self.fresh(f"{node.name}_bias")
        node.input[2] = self.node("DequantizeLinear", inputs, result, axis=0)

    def finish(self) -> None:
        """The new nodes in place of the old ones, without what nothing reads any more."""
        graph = self.model.graph
        del graph.node[:]
        graph.node.extend(self.nodes)
        del graph.value_info[:]
        read = {name for node in graph.node for name in node.input}
        kept = [tensor for tensor in graph.initializer if tensor.name in read]
        del graph.initializer[:]
        graph.initializer.extend(kept)
        inputs = [value for value in graph.input if value.name not in self.constants]
        del graph.input[:]
        graph.input.extend(inputs)


def channel_axis(node: Any) -> int | None:
    """The axis of the output channels in the second input of a layer."""
    if node.op_type in ("Conv", "DeformConv"):
        return 0
    if node.op_type == "Gemm":
        return 0 if attribute(node, "transB", 0) else 1
    return {"ConvTranspose": 1, "MatMul": -1}.get(node.op_type)


def weight_scale(
    weight: np.ndarray, axis: int, bias: np.ndarray | None, step: np.ndarray | None
) -> np.ndarray:
    """float32 per channel: the largest weight at 127, and the bias within BIAS_LIMIT steps."""
    channels = np.moveaxis(weight, axis, 0).reshape(weight.shape[axis], -1)
    largest = np.abs(channels).max(axis=1).astype(np.float64)
    if not np.isfinite(largest).all():
        raise InputError("a layer has weights that are NaN or infinite")
    scale = largest / 127
    if bias is not None and step is not None and bias.size == scale.size:
        scale = np.maximum(scale, np.abs(bias.reshape(-1)) / (float(step) * BIAS_LIMIT))
    overall = largest.max() / 127 or 1.0
    floor = np.float64(np.finfo(np.float32).tiny) * 2**30
    return np.where(scale > floor, scale, max(overall, floor)).astype(np.float32)
