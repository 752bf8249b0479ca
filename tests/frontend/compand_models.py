# SPDX-License-Identifier: Apache-2.0
"""Networks that read the int16 samples of a sensor, as ONNX files: Compand, a convolution over time
and a dense layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper
from qdq_models import Model

from tinytailor.compiler.frontend.onnx.compand import (
    compand_function,
    compand_initializers,
    compand_node,
    opset_import,
    samples_metadata,
)
from tinytailor.compiler.opkey import example_constants
from tinytailor.compiler.ops.compand import Compand

CHANNELS, TIME, FILTERS = 3, 20, 4
SHAPE = (1, TIME, 1, CHANNELS)  # on the device
STEP = (0.000244, 0.5, 0.0625)
OP = Compand(FILTERS, 2, zero_point=-7)


def constants_of(op: Compand = OP) -> dict[str, np.ndarray]:
    return example_constants(op, (SHAPE,), 3)


def samples(rows: int, seed: int = 0) -> np.ndarray:
    """int16 (rows, T, 1, C) in all octaves, the ends of int16 among them."""
    rng = np.random.default_rng(seed)
    numbers = rng.integers(-32768, 32768, (rows, *SHAPE[1:]))
    numbers >>= rng.integers(0, 16, numbers.shape)
    numbers[0].ravel()[:2] = -32768, 32767
    return numbers.astype(np.int16)


def model(
    op: Compand = OP,
    step: Sequence[float] | None = STEP,
    *,
    constants: Mapping[str, np.ndarray] | None = None,
    dtype: int = TensorProto.INT16,
) -> onnx.ModelProto:
    m = Model()
    arrays = constants_of(op) if constants is None else constants
    stored = compand_initializers("entry", arrays)
    m.inputs.append(helper.make_tensor_value_info("imu", dtype, [1, CHANNELS, TIME, 1]))
    m.constants += stored.values()
    names = {role: tensor.name for role, tensor in stored.items()}
    settings = {"step": op.step, "segmented": op.segmented, "zero_point": op.zero_point}
    m.nodes.append(compand_node("imu", names, "entry_q", **settings, name="entry"))
    quantization = [
        m.constant("entry_scale", np.float32(0.05)),
        m.constant("entry_zero", np.int8(-7)),
    ]
    x = m.node("DequantizeLinear", ["entry_q", *quantization], "entry_dq")
    m.scales[x] = 0.05
    rows = -(-TIME // op.step)
    a = m.quantized(m.node("Relu", [m.conv(x, (4, op.filters, 3, 1))]), 0.1, -128)
    flat = m.quantized(m.node("Flatten", [a]), 0.1, -128)
    y = m.quantized(m.gemm(flat, (5, 4 * (rows - 2)), name="head"), 0.1)
    output = helper.make_tensor_value_info(y, TensorProto.FLOAT, [1, 5])
    graph = helper.make_graph(m.nodes, "imu", m.inputs, [output], m.constants)
    opsets = [helper.make_opsetid("", 17), opset_import()]
    made = helper.make_model(
        graph, opset_imports=opsets, functions=[compand_function()], ir_version=8
    )
    if step is not None:
        helper.set_model_props(made, samples_metadata(step))
    return made


def saved(path: Path, made: onnx.ModelProto) -> Path:
    onnx.save(made, path)
    return path
