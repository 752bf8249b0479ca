# SPDX-License-Identifier: Apache-2.0
"""Windows: their sizes checked, borders that ONNX leaves to be computed as explicit pads.

The conversions here only change attributes; they return nothing, so that TVM converts the node.
"""

from __future__ import annotations

from typing import Any

from tinytailor.targets.errors import InputError

WINDOWS = ("strides", "dilations", "kernel_shape", "pads", "output_padding", "output_shape")


def check_windows(graph: Any, file: str) -> None:
    """Strides and kernels must be positive: TVM divides by them in native code."""
    for node in graph.node:
        for attribute in node.attribute:
            low = 0 if attribute.name in ("pads", "output_padding") else 1
            if attribute.name in WINDOWS:
                values = list(attribute.ints)
            elif attribute.name == "group":
                values = [attribute.i]
            else:
                continue
            if not all(low <= value <= 1 << 16 for value in values):
                raise InputError(
                    f"{file}: node {node.name or node.output[0]} has {attribute.name} {values}"
                )


def conv_pads(inputs: Any, attrs: dict[str, Any]) -> None:
    """Conv, whose kernel is its second input; TVM does the rest."""
    resolve_auto_pad(inputs, attrs, inputs[1].ty.shape.values[2:])


def pooling_pads(inputs: Any, attrs: dict[str, Any]) -> None:
    """AveragePool and MaxPool."""
    if attrs["tvm_custom"]["num_outputs"] > 1:
        raise ValueError("its second output, the indices, is not supported")
    resolve_auto_pad(inputs, attrs, attrs["kernel_shape"])
    if not any(attrs.get("pads", ())):
        attrs.pop("count_include_pad", None)  # what ceil_mode adds never counts


def resolve_auto_pad(inputs: Any, attrs: dict[str, Any], window: Any) -> None:
    """SAME_UPPER and SAME_LOWER as pads: TVM would emit a kernel that pads real numbers."""
    mode = attrs.get("auto_pad", b"NOTSET")
    if mode not in (b"SAME_UPPER", b"SAME_LOWER"):
        return
    size = [int(d) for d in inputs[0].ty.shape.values[2:]]
    kernel = [int(d) for d in window]
    strides = attrs.get("strides", [1] * len(size))
    dilations = attrs.get("dilations", [1] * len(size))
    before, after = [], []
    for n, k, s, d in zip(size, kernel, strides, dilations, strict=True):
        total = max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
        small, large = total // 2, total - total // 2
        before.append(small if mode == b"SAME_UPPER" else large)
        after.append(large if mode == b"SAME_UPPER" else small)
    attrs["auto_pad"] = b"NOTSET"
    attrs["pads"] = [*before, *after]


def transposed_conv_pads(inputs: Any, attrs: dict[str, Any]) -> None:
    """ConvTranspose: its output_shape as pads, before TVM, which resolves auto_pad only."""
    wanted = attrs.get("output_shape")
    if not wanted:
        return
    size = [int(d) for d in inputs[0].ty.shape.values[2:]]
    kernel = [int(d) for d in inputs[1].ty.shape.values[2:]]
    strides, dilations, more = (
        attrs.get(name, [missing] * len(size))
        for name, missing in (("strides", 1), ("dilations", 1), ("output_padding", 0))
    )
    before, after = [], []
    output = [int(y) for y in wanted[-len(size) :]]
    for n, k, s, d, extra, y in zip(size, kernel, strides, dilations, more, output, strict=True):
        total = (n - 1) * s + d * (k - 1) + 1 + extra - y
        if total < 0:
            raise ValueError(f"its output_shape {list(wanted)} is larger than the taps reach")
        small, large = total // 2, total - total // 2
        upper = attrs.get("auto_pad", b"NOTSET") == b"SAME_UPPER"
        before.append(small if upper else large)
        after.append(large if upper else small)
    attrs["auto_pad"] = b"NOTSET"
    attrs["pads"] = [*before, *after]
