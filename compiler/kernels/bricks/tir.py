# SPDX-License-Identifier: Apache-2.0
"""Building blocks for operator kernels in TE/TIR, and the lowering from a schedule to plain loops.

The lowered form holds a dozen node kinds only (For, SeqStmt, BufferStore, IfThenElse, AllocBuffer,
DeclBuffer, Evaluate and integer expressions); ``render`` prints it as C and ``host`` builds it with
LLVM. Both see one TIR, so they compute the same integers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tvm
from tvm import ir, s_tir, te, tirx
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as script
from tvm_ffi import structural_map

from tinytailor.compiler.kernels.bricks.kernel import Intrinsic
from tinytailor.compiler.ops.window import Padding
from tinytailor.compiler.requantization import Requant

PARAMETER, REQUANTIZE = "tt_parameter", "tt_requantize"
LEADING_ZEROS, SQUARE_ROOT = "tt_leading_zeros", "tt_square_root"  # helpers of uint32
ZEROS, SMEARED = "tt_zeros", "tt_smeared"
INT8 = (-128, 127)

# In this order; s_tir passes first turn blocks into loops, tirx passes then simplify the loops.
_BLOCK_PASSES = (
    "CanonicalizeLoop",
    "LowerInitBlock",
    "PlanAndUpdateBufferAllocationLocation",
    "ConvertBlocksToOpaque",
    "CompactBufferAllocation",
    "LowerMatchBuffer",
)


def const(value: int, dtype: str = "int32") -> Any:
    return tirx.const(value, dtype)


def int32(value: Any) -> Any:
    return value.astype("int32")


def parameter(name: str, value: int) -> Any:
    """An int32 that the code reads from the layer's constants under ``name``.

    What quantization decides (zero points, clamps, factors) must not be in the instructions: then
    all layers of a key have one code, of one size and time, and an image holds it once.
    """
    return tirx.call_pure_extern("int32", PARAMETER, name, const(value))


def resolved(func: tirx.PrimFunc) -> tirx.PrimFunc:
    """``func`` with parameters as numbers and helpers as expressions, for who has no C: LLVM."""

    def replacement(node: Any) -> Any:
        if not str(getattr(node.op, "name", "")).endswith(".call_pure_extern"):
            return node
        name, *arguments = node.args
        if str(name.value) == PARAMETER:
            return arguments[1]
        if str(name.value) == REQUANTIZE:
            acc, multiplier, zero_point = arguments
            no, yes = const(0, "bool"), const(1, "bool")
            scalars = (const(0), const(1), const(31), no, yes)
            return tirx.q_multiply_shift_per_axis(acc, multiplier, *scalars) + zero_point
        if str(name.value) == LEADING_ZEROS:
            return int32(tirx.clz(arguments[0]))
        if str(name.value) == ZEROS:
            return zeros_of(arguments[0])
        if str(name.value) == SMEARED:
            one = const(1, "uint32")
            return (one << (32 - zeros_of(arguments[0])).astype("uint32")) - one
        if str(name.value) == SQUARE_ROOT:  # exact: doubles hold more than 32 bits
            return tirx.sqrt(arguments[0].astype("float64")).astype("uint32")
        return node

    return func.with_body(structural_map(func.body, (ir.Call, replacement)))


def leading_zeros(value: Any) -> Any:
    """Of 32 bits of a uint32 that is not 0; int32."""
    return tirx.call_pure_extern("int32", LEADING_ZEROS, value)


def zeros(value: Any) -> Any:
    """The same of any uint32; int32."""
    return tirx.call_pure_extern("int32", ZEROS, value)


def zeros_of(value: Any) -> Any:
    """What that is, of one below 2^31."""
    return int32(tirx.clz(value * const(2, "uint32") + const(1, "uint32"))) + 1


def smeared(value: Any) -> Any:
    """A uint32 of up to 16 bits with all bits below its highest set."""
    return tirx.call_pure_extern("uint32", SMEARED, value)


def square_root(value: Any) -> Any:
    """Of a uint32, rounded down."""
    return tirx.call_pure_extern("uint32", SQUARE_ROOT, value)


def quarters(n: Any) -> Any:
    """How often an int32 from 1 on can be taken four times within 32 bits."""
    return leading_zeros(n.astype("uint32")) >> 1


def root(n: Any, z: Any) -> Any:
    """The root of n * 4^z, where these are 32 bits: int32 (compiler/ops/root.py)."""
    return int32(square_root(n.astype("uint32") << (z << 1).astype("uint32")))


def clamp(value: Any, low: int, high: int) -> Any:
    return tirx.max(tirx.min(value, const(high)), const(low))


def bounds(low: int, high: int, of: str = "") -> tuple[Any, Any]:
    """The bounds of a clamp, as a block takes them: parameters, if they are not those of int8."""
    if (low, high) == INT8:
        return const(low), const(high)
    return parameter(f"{of}low", low), parameter(f"{of}high", high)


def clamped(value: Any, low: int, high: int, of: str = "") -> Any:
    """The clamp of an activation; that of int8 is an instruction, another takes parameters."""
    if (low, high) == INT8:
        return clamp(value, low, high)
    least, most = bounds(low, high, of)
    return tirx.max(tirx.min(value, most), least)


def requantize(acc: Any, multiplier: Any, q: Requant, of: str = "") -> Any:
    """``Requant.apply`` as an expression: int32 accumulator and multiplier to int8.

    ``of`` begins the names of its parameters, where a kernel has several.
    """
    return requantized(acc, multiplier, q, of).astype("int8")


def requantized(acc: Any, multiplier: Any, q: Requant, of: str = "") -> Any:
    """The same as int32, with the product and the zero point in one SMMLAR."""
    # C has no left shift of negatives
    shifted = acc * parameter(f"{of}scale", 1 << q.shift) if q.shift else acc
    zero_point = parameter(f"{of}zero_point", q.zero_point)
    return clamped(high_product(shifted, multiplier, zero_point), q.low, q.high, of)


def high_product(a: Any, b: Any, plus: Any) -> Any:
    """The high word of a product of int32, rounded half up, and something more."""
    return tirx.call_pure_extern("int32", REQUANTIZE, a, b, plus)


def inside(row: Any, column: Any, height: int, width: int) -> Any:
    """Whether a pixel lies in the map."""
    return tirx.all(row >= 0, row < height, column >= 0, column < width)


def border(zero_point: int, dtype: str) -> Any:
    """What lies around a map."""
    return parameter("input_zero_point", zero_point).astype(dtype)


def padded(x: Any, padding: Padding, fill: Any, dtype: str = "int8") -> Any:
    """x[0, h, w, c] as ``dtype`` with a border, as a function of padded coordinates.

    ``fill``: an expression of that type.
    """
    top, left, bottom, right = padding
    height, width = (int(d) for d in x.shape[1:3])

    def at(h: Any, w: Any, c: Any) -> Any:
        inside = []
        if top:
            inside.append(h >= top)
        if bottom:
            inside.append(h < top + height)
        if left:
            inside.append(w >= left)
        if right:
            inside.append(w < left + width)
        value = x[0, h - top, w - left, c].astype(dtype)
        if not inside:
            return value
        return tirx.if_then_else(tirx.all(*inside), value, fill)

    return at


def narrow(byte: Callable[[Any], Any], index: Any, bits: int) -> Any:
    """Weight ``index`` of those packed into bytes, see compiler.narrow_weights; int32."""
    places = 8 // bits
    value = int32(byte(index if bits == 8 else index // places))
    if bits == 8:
        return value
    steps = [value // (1 << bits * n) % (1 << bits) for n in range(places)]
    step = steps[-1]
    for n in reversed(range(places - 1)):
        step = tirx.Select(index % places == n, steps[n], step)
    return step * 2 - 1 if bits == 1 else step - (1 << (bits - 1))


def schedule_of(arguments: Sequence[Any]) -> s_tir.Schedule:
    """A schedule of the function with these tensors as arguments, the output last."""
    return s_tir.Schedule(te.create_prim_func(list(arguments)))


def moves(sizes: Sequence[int], body: Callable[[Moves], None]) -> tirx.PrimFunc:
    """A function that only copies and fills; ``sizes``: elements of its arguments, output last."""
    with IRBuilder() as builder, script.prim_func():
        script.func_name("main")
        body(Moves([script.arg(f"a{i}", script.Buffer((n,), "int8")) for i, n in enumerate(sizes)]))
    return builder.get()


class Moves:
    """Statements over flat int8 buffers, written in order; the last buffer is the output."""

    def __init__(self, buffers: Sequence[Any]) -> None:
        *self.inputs, self.output = buffers

    def copy(self, to: Any, source: int, start: Any, count: int, stride: int = 1) -> None:
        with script.serial(0, count) as i:
            script.buffer_store(self.output, self.inputs[source][start + i * stride], [to + i])

    def fill(self, to: Any, value: int, count: int) -> None:
        if count:
            with script.serial(0, count) as i:
                filled = parameter("value", value).astype("int8")
                script.buffer_store(self.output, filled, [to + i])

    def repeat(self, count: int) -> Any:
        """A loop: ``with moves.repeat(n) as i``."""
        return script.serial(0, count)


def lower(func: tirx.PrimFunc) -> tirx.PrimFunc:
    """Scheduled TIR with blocks to plain loops over flat buffers with int32 indices."""
    mod = tvm.IRModule({"main": func.with_attr("target", tvm.target.Target("c"))})
    for name in _BLOCK_PASSES:
        mod = getattr(s_tir.transform, name)()(mod)
    mod = tirx.transform.StmtSimplify()(mod)
    mod = s_tir.transform.LowerOpaqueBlock()(mod)
    for step in (
        tirx.transform.FlattenBuffer(),
        tirx.transform.NarrowDataType(32),
        tirx.transform.VectorizeLoop(False),
        tirx.transform.StorageRewrite(),
        tirx.transform.UnrollLoop(),
        s_tir.transform.RenormalizeSplitPattern(),
        tirx.transform.StmtSimplify(),
        tirx.transform.RemoveNoOp(),
    ):
        mod = step(mod)
    return mod["main"]


def tensorize_tile(schedule: s_tir.Schedule, product: Any, intrinsic: str, axes: int = 3) -> None:
    """Set up the tile of ``product`` first, then run ``intrinsic`` over its innermost loops.

    Setting it up is unrolled: with constant indices the tile lives in registers.
    """
    first = schedule.get_loops(product)[-axes]
    clear = schedule.decompose_reduction(product, first)
    for loop in schedule.get_loops(clear)[-2:]:
        schedule.unroll(loop)
    update = schedule.get_sblock("acc_update")
    schedule.tensorize(schedule.get_loops(update)[-axes], intrinsic)


def split_channels(schedule: s_tir.Schedule, window: Any, lanes: int) -> Any:
    """Channels of ``y`` in groups of ``lanes``, the window under each group; the inner loop."""
    _, _, channel = schedule.get_loops(schedule.get_sblock("y"))
    outer, inner = schedule.split(channel, [None, lanes])
    schedule.compute_at(window, outer, preserve_unit_loops=True)
    return inner


def finish_window(
    schedule: s_tir.Schedule, window: Any, inner: Any, block: Intrinsic | None
) -> None:
    """The window by ``block``, or as plain loops; last, as nothing moves past a block."""
    if block is None:
        schedule.decompose_reduction(window, schedule.get_loops(window)[-2])
        return
    tensorize_tile(schedule, window, block.name)
    schedule.unroll(inner)
