# SPDX-License-Identifier: Apache-2.0
"""Sessions of other runtimes, for comparing and for calibration: one thread, silent, and with
results that depend on no processor as far as the runtimes allow (docs/references.md).

On x86 without VNNI the AVX2 kernels of onnxruntime add pairs of products of unsigned activations
and signed weights in 16 bits, which saturate. Both unsigned, the sums are exact on every processor:

    sum (x - zx) (w - zw)              255 * 127 + 255 * 127 = 64770 -> 32767
    sum (x - zx) ((w + 128) - (zw + 128))                    the same numbers, the sums in 32 bits
"""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from tinytailor.targets.errors import InputError

# Products of integers: the places of the activation's zero point, the weights and theirs.
PRODUCTS = {
    "QLinearConv": (2, 3, 5),
    "QLinearMatMul": (2, 3, 5),
    "QGemm": (2, 3, 5),
    "MatMulIntegerToFloat": (4, 1, 5),
}


def onnx_session(model: Any) -> Any:
    """onnxruntime on a ModelProto, its bytes or its path, node by node as the file says: what
    stands between DequantizeLinear and QuantizeLinear in float32, operators on integers exactly."""
    return _session(unsigned(_loaded(model)), _options("ORT_DISABLE_ALL"))


def fused(model: Any) -> Any:
    """The ModelProto that onnxruntime makes of a QDQ model: operators on integers, which round as
    its integer kernels do and sum exactly in an ``onnx_session``."""
    return optimized(_loaded(model), "ORT_ENABLE_EXTENDED")


def optimized(model: Any, level: str) -> Any:
    """A ModelProto after onnxruntime's graph optimizations: ORT_ENABLE_BASIC folds constants and
    batch norms, ORT_ENABLE_EXTENDED fuses operators too; neither looks at the processor."""
    import onnx

    options = _options(level)
    with tempfile.TemporaryDirectory(prefix="tinytailor.") as folder:
        options.optimized_model_filepath = str(Path(folder) / "optimized.onnx")
        _session(model, options)
        return onnx.load(options.optimized_model_filepath)


def _loaded(model: Any) -> Any:
    import onnx

    if isinstance(model, bytes):
        return onnx.load_model_from_string(model)
    return onnx.load(str(model)) if isinstance(model, Path) else model


def _options(level: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    options.log_severity_level = 4
    options.add_session_config_entry("session.disable_aot_function_inlining", "1")
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return options


def _session(model: Any, options: Any) -> Any:
    import onnxruntime

    data = model.SerializeToString()
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def unsigned(model: Any) -> Any:
    """The model with uint8 in place of int8 weights, where uint8 activations may meet them."""
    import onnx
    from onnx import numpy_helper

    if not any(node.op_type in PRODUCTS for node in model.graph.node):
        return model
    result = onnx.ModelProto()
    result.CopyFrom(model)
    arrays = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            arrays[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    shifted: dict[str, np.ndarray] = {}
    for node in result.graph.node:
        if node.op_type not in PRODUCTS:
            continue
        activation, weight, zero = PRODUCTS[node.op_type]
        node.input.extend([""] * (zero + 1 - len(node.input)))
        names = node.input[weight], node.input[zero]
        if _dtype(arrays, node.input[activation]) == np.int8 or _dtype(arrays, *names) != np.int8:
            continue
        if names[0] not in arrays:
            raise InputError(
                f"node {node.name}: its int8 weights are computed by the model, expected a "
                "constant: onnxruntime's sums would saturate on some processors"
            )
        for place, name in zip((weight, zero), names, strict=True):
            array = arrays[name] if name else np.zeros((), np.int8)
            node.input[place] = f"{name}_unsigned"
            shifted[node.input[place]] = (array.astype(np.int16) + 128).astype(np.uint8)
    result.graph.initializer.extend(
        numpy_helper.from_array(array, name) for name, array in shifted.items()
    )
    return result


def _dtype(arrays: dict[str, np.ndarray], *names: str) -> np.dtype[Any] | None:
    """The type of the first of these that is a constant."""
    return next((arrays[name].dtype for name in names if name in arrays), None)


def litert(model: Path | bytes, *, reference: bool = False, all_tensors: bool = False) -> Any:
    """A LiteRT interpreter with its tensors allocated. ``reference``: its plain kernels, else the
    optimized ones and XNNPACK. ``all_tensors``: each can be read after a run.
    The package is ai-edge-litert, which only the development tools bring."""
    from ai_edge_litert import interpreter

    kinds = interpreter.OpResolverType
    source = {"model_path": str(model)} if isinstance(model, Path) else {"model_content": model}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that all tensors cost memory
        session = interpreter.Interpreter(
            **source,
            num_threads=1,
            experimental_op_resolver_type=kinds.BUILTIN_REF if reference else kinds.BUILTIN,
            experimental_preserve_all_tensors=all_tensors,
        )
    session.allocate_tensors()
    return session
