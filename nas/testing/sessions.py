# SPDX-License-Identifier: Apache-2.0
"""onnxruntime as a reference: one thread, nothing optimized, so that it computes node by node."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime


def run_onnx(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    """The output for inputs (N, C, H, W) float32, one after the other: (N, classes)."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, ["CPUExecutionProvider"]
    )
    rows = [session.run(None, {"input": sample[None]})[0] for sample in x]
    return np.concatenate(rows)
