# SPDX-License-Identifier: Apache-2.0
"""The ONNX file of a test chain, run in floats, is the network of its integer Graph."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from chain import Chain, build_chain, build_graph
from chain_onnx import build_onnx
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from tinytailor.compiler.execute import execute

pytestmark = [pytest.mark.pure]


class SquareDeformDW(OpRun):
    """The operator's float meaning, NCHW, as the operator's docstring states it."""

    op_domain = "tinytailor"

    def _run(  # type: ignore[no-untyped-def]
        self, x, offset_weight, offset_bias, weight, bias
    ) -> tuple[np.ndarray]:
        offset = np.einsum("nchw,c->nhw", x, offset_weight) + offset_bias[0]
        d = np.clip(np.floor(offset + 0.5), 0, 7)
        _, channels, height, width = x.shape
        y = np.zeros_like(x) + bias.reshape(1, channels, 1, 1)
        for k in range(8):
            padded = np.pad(x, ((0, 0), (0, 0), (k, k), (k, k)))
            for i in range(3):
                for j in range(3):
                    window = padded[:, :, i * k : i * k + height, j * k : j * k + width]
                    y += (d == k)[:, None] * window * weight[:, 0, i, j].reshape(1, channels, 1, 1)
        return (y.astype(np.float32),)


def run_floats(chain: Chain, x: np.ndarray) -> np.ndarray:
    """int8 NHWC in and out, through the float graph."""
    evaluator = ReferenceEvaluator(build_onnx(chain), new_ops=[SquareDeformDW])
    (scale_in, zero_in), (scale_out, zero_out) = chain.activations[0], chain.activations[-1]
    real = (x.astype(np.float32) - zero_in) * np.float32(scale_in)
    (y,) = evaluator.run(None, {"input": real.transpose(0, 3, 1, 2)})
    return np.rint(y.transpose(0, 2, 3, 1) / np.float32(scale_out) + zero_out).astype(np.int64)


def test_the_file_is_valid_onnx_with_four_bit_weights() -> None:
    model = build_onnx(build_chain())
    onnx.checker.check_model(model)
    assert {opset.domain: opset.version for opset in model.opset_import} == {
        "": 21,
        "tinytailor": 1,
    }
    weights = [
        onnx.numpy_helper.to_array(tensor)
        for tensor in model.graph.initializer
        if tensor.name.endswith("weight")
    ]
    assert len(weights) == 7
    assert all(w.dtype == np.int8 and w.min() >= -8 and w.max() <= 7 for w in weights)


def test_floats_and_integers_agree_but_for_ties() -> None:
    for layers in ("p16", "r16", "d", "p16 d"):
        chain = build_chain(layers, height=16, width=12, seed=len(layers))
        x = chain.images(1, seed=2)
        integers = execute(build_graph(chain), x)[0].astype(np.int64)
        difference = np.abs(run_floats(chain, x) - integers)
        assert (difference > 0).mean() < 0.005, layers
