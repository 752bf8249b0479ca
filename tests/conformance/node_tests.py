# SPDX-License-Identifier: Apache-2.0
"""ONNX's own node tests (they ship inside the onnx package) on the integer compiler.

    float test      first input real, the others constants -> quantized on the test's own input
    quantized test  scales and weights constants
    both            -> integer graph -> numpy == onnxruntime on the quantized model, within one step

A batch other than 1 is cut to its first sample; a function of single elements gets an axis in
front. Every test of an operator that the front end imports ends as passed, refused with the
sentence a user would read, not applicable with the reason, or wrong, which is an error.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tinytailor.compiler.execute import execute
from tinytailor.compiler.frontend.importer import Importer
from tinytailor.compiler.frontend.onnx import qoperator
from tinytailor.compiler.frontend.onnx.reader import import_onnx
from tinytailor.compiler.frontend.quiet import quiet
from tinytailor.compiler.frontend.rules import ONNX
from tinytailor.compiler.ir import Border, Graph
from tinytailor.compiler.quantize import quantize_onnx
from tinytailor.compiler.quantize.plan import POINTWISE
from tinytailor.compiler.references import onnx_session
from tinytailor.targets.errors import InputError

PASSED, REFUSED, NOT_APPLICABLE, WRONG = "passed", "refused", "not applicable", "wrong"
OPSET, IR_VERSION = 21, 10  # newer ones onnxruntime may not know yet
FOLDED = {"BatchNormalization", "Dropout"}  # before quantization
IMPORTED = {name for name in ONNX if "." not in name}  # those of the standard
QUANTIZED = {name for domain, name in qoperator.REWRITES if not domain}
BORDER = {"QuantizeLinear", "DequantizeLinear"}
HELPERS = {"Constant", "Identity"}
TWO = {"Add", "Sub", "Mul", "Div", "Pow", "Min", "Max"}  # operators of two activations
ALL = {"Concat"}
NUMBERS = set("bool float16 float32 float64 int8 int16 int32 int64".split()) | set(
    "uint8 uint16 uint32 uint64".split()
)


class NotApplicable(Exception):  # noqa: N818 - a verdict, not an error
    """The test asks for something that this suite cannot put to the compiler, with the reason."""


@dataclass(frozen=True, slots=True)
class Result:
    """``elements`` compared, ``differing`` of them by one step; ``kinds`` of nodes it became."""

    name: str
    operator: str
    verdict: str
    reason: str = ""
    elements: int = 0
    differing: int = 0
    kinds: tuple[str, ...] = ()


def cases() -> Iterator[tuple[str, Any, list[np.ndarray]]]:
    """(name, model, inputs) of every node test whose operators are ours."""
    from onnx.backend.test.loader import load_model_tests

    ours = IMPORTED | FOLDED | QUANTIZED
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tests = load_model_tests(kind="node")
    for test in sorted(tests, key=lambda test: test.name):
        kinds = {node.op_type for node in test.model.graph.node if not node.domain}
        named = {node.op_type for node in test.model.graph.node}
        if kinds == named and kinds - HELPERS and kinds <= ours and len(kinds - HELPERS) == 1:
            yield test.name, test.model, [np.asarray(x) for x in test.data_sets[0][0]]


def run(name: str, model: Any, inputs: list[np.ndarray]) -> Result:
    operator = next(n.op_type for n in model.graph.node if n.op_type not in HELPERS)
    try:
        elements, differing, kinds = compared(name, model, inputs)
    except NotApplicable as reason:
        return Result(name, operator, NOT_APPLICABLE, str(reason))
    except InputError as reason:
        return Result(name, operator, REFUSED, sentence(str(reason), name))
    except AssertionError as reason:
        return Result(name, operator, WRONG, str(reason))
    return Result(name, operator, PASSED, "", elements, differing, kinds)


def sentence(text: str, name: str) -> str:
    """The reason without the name of the test and what the report wraps around it."""
    lines = [line for line in text.splitlines() if line.startswith("  ")]
    reason = lines[0].split(": ", 1)[-1].strip() if lines else text
    return reason.replace(f"{name}.onnx", "the model")


def compared(name: str, model: Any, inputs: list[np.ndarray]) -> tuple[int, int, tuple[str, ...]]:
    """(elements, elements one step off, kinds of nodes); AssertionError for two steps."""
    data, feeds = integer_model(name, model, inputs)
    graph, gaps = steps_apart(data, feeds, Path(f"{name}.onnx"))
    for gap in gaps:
        largest = int(gap.max()) if gap.size else 0
        assert largest <= 1, f"{np.count_nonzero(gap > 1)} of {gap.size} differ, by {largest}"
    if not graph.nodes:
        raise NotApplicable("nothing is left to compute on the device")
    differing = sum(int(np.count_nonzero(gap)) for gap in gaps)
    kinds = tuple(dict.fromkeys(node.op.kind for node in graph.nodes))
    return sum(gap.size for gap in gaps), differing, kinds


def steps_apart(
    data: bytes, feeds: dict[str, np.ndarray], path: Path
) -> tuple[Graph, list[np.ndarray]]:
    """The graph of a quantized model, and how far each output is from onnxruntime, in steps."""
    graph = imported(data, path)
    results = device_results(graph, feeds)
    expected = onnxruntime_results(data, feeds)
    gaps = []
    for name, real, ours in zip(graph.outputs, expected, results, strict=True):
        tensor, border = graph.tensors[name], graph.borders[name]
        steps = real.astype(np.int64) - offset(border)
        if real.dtype.kind == "f":
            steps = np.rint(real / np.float32(tensor.scale)).astype(np.int64) + tensor.zero_point
        gaps.append(np.abs(ours.astype(np.int64).ravel() - steps.transpose(border.axes).ravel()))
    return graph, gaps


def offset(border: Border) -> int:
    """The model's integer minus ours."""
    return 128 if border.dtype == "uint8" else 0


def integer_model(
    name: str, model: Any, inputs: list[np.ndarray]
) -> tuple[bytes, dict[str, np.ndarray]]:
    """The quantized file of a test and what it is fed."""
    node = next(n for n in model.graph.node if n.op_type not in HELPERS)
    feeds, whole = narrowed(model, node, inputs)
    data: bytes = whole.SerializeToString()
    if node.op_type not in QUANTIZED | BORDER:
        data = quantize_onnx(data, feeds, path=Path(f"{name}.onnx"))
    return data, feeds


def imported(data: bytes, path: Path) -> Graph:
    with np.errstate(all="ignore"):
        return Importer(import_onnx(data, path, "test")).run()


def device_results(graph: Graph, feeds: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    batches = []
    for name, array in zip(graph.inputs, feeds.values(), strict=True):  # both in the file's order
        tensor, border = graph.tensors[name], graph.borders[name]
        placed = array.transpose(border.axes).reshape(tensor.shape)
        if border.dtype == "float32":
            steps = np.rint(placed / np.float32(tensor.scale)) + tensor.zero_point
            placed = np.clip(steps, -128, 127)
        else:
            placed = placed.astype(np.int64) - offset(border)
        batches.append(placed.astype(np.int8))
    return execute(graph, *batches)


def onnxruntime_results(data: bytes, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    try:
        results: list[np.ndarray] = onnx_session(data).run(None, feeds)
    except Exception as error:
        text = str(error).splitlines()[0]
        raise NotApplicable(f"onnxruntime cannot run it ({text[:80]})") from None
    return results


def narrowed(model: Any, node: Any, inputs: list[np.ndarray]) -> tuple[dict[str, np.ndarray], Any]:
    """(the activations, the model with batch 1 and everything else constant)."""
    if any(item.name == "training_mode" and item.i for item in node.attribute):
        raise NotApplicable("it trains")
    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    graph = whole.graph
    arrays = dict(zip([value.name for value in graph.input], inputs, strict=True))
    activations = [name for name in leading(node) if name in arrays]
    if not activations:
        raise NotApplicable("it has no input tensor")
    feeds = {name: arrays[name] for name in activations}
    if any(array.dtype.name not in NUMBERS for array in arrays.values()):
        raise NotApplicable("its numbers are of a type of 4 bits or of floats of 8 bits")
    for name, array in feeds.items():
        if node.op_type not in QUANTIZED | BORDER and array.dtype != np.float32:
            raise NotApplicable(f"its input {name} is {array.dtype}")
        if not array.size:
            raise NotApplicable("its input is empty")
    feeds = one_sample(node, feeds)
    if node.op_type == "Gemm" and len(node.input) > 2 and arrays["c"].ndim == 2:
        arrays["c"] = arrays["c"][:1]
    values = {value.name: value for value in graph.input}
    del graph.input[:]
    for name, array in arrays.items():
        if name in feeds:
            kind = helper.np_dtype_to_tensor_dtype(feeds[name].dtype)
            values[name] = helper.make_tensor_value_info(name, kind, feeds[name].shape)
            graph.input.append(values[name])
        else:
            graph.initializer.append(numpy_helper.from_array(array, name))
    del graph.value_info[:]
    whole.ir_version = min(whole.ir_version, IR_VERSION)
    for item in whole.opset_import:
        item.version = min(item.version, OPSET)
    for value in graph.output:
        if value.type.tensor_type.elem_type not in (
            TensorProto.FLOAT,
            TensorProto.INT8,
            TensorProto.UINT8,
            TensorProto.INT64,
        ):
            raise NotApplicable("its output is no float and no integer of 8 bits")
        value.type.tensor_type.ClearField("shape")
    check_runs(whole, feeds)
    return feeds, whole


def leading(node: Any) -> list[str]:
    """The inputs that are activations on a device."""
    if node.op_type in ALL:
        return list(node.input)
    if node.op_type == "DeformConv":
        return [node.input[0], node.input[2]]  # the map and its offsets
    if node.op_type in TWO:
        return list(dict.fromkeys(node.input))[:2]
    return list(node.input[:1])


def one_sample(node: Any, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    elementwise = node.op_type in POINTWISE
    rank = max(array.ndim for array in feeds.values())
    if elementwise and all(array.shape[:1] != (1,) for array in feeds.values()):
        return {
            name: array.reshape((1,) * (rank + 1 - array.ndim) + array.shape)
            for name, array in feeds.items()
        }
    if node.op_type == "Gemm" and any(a.name == "transA" and a.i for a in node.attribute):
        raise NotApplicable("its rows are features: the batch cannot be cut to 1")
    if rank == 0:
        raise NotApplicable("its input is a single number")
    return {
        name: array[:1] if array.ndim == rank and array.shape[0] != 1 else array
        for name, array in feeds.items()
    }


def check_runs(model: Any, feeds: dict[str, np.ndarray]) -> None:
    try:
        onnxruntime_results(model.SerializeToString(), feeds)
    except NotApplicable as reason:
        whole = " of one sample" if any(len(a) == 1 for a in feeds.values()) else ""
        raise NotApplicable(f"as a test{whole}: {reason}") from None


def all_results() -> list[Result]:
    with quiet():
        return [run(*case) for case in cases()]
