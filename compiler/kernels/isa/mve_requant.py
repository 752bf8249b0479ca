# SPDX-License-Identifier: Apache-2.0
"""Requantization with MVE, the meaning in TIR beside the text in C.

    requant_block       y[j] = requantize(acc[j] + bias[j])             4 channels at a time
    requant_add_block   y[j] = add(requantize(acc[j] + bias[j]), r[j])

VRMULH.S32 is the high word of a product rounded half up: exactly ``(a * b + 2^31) >> 32``. VSHL by
a negative number shifts right and rounds down, as the addition does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm import te
from tvm.s_tir import TensorIntrin
from tvm.script import tirx as T

from tinytailor.compiler.kernels.bricks import script, tir
from tinytailor.compiler.kernels.bricks.addition import sum_of
from tinytailor.compiler.kernels.bricks.kernel import Intrinsic
from tinytailor.compiler.kernels.isa.mve import MVE_OR_PLAIN, assembly, registered
from tinytailor.compiler.ops.add import Add
from tinytailor.compiler.requantization import Requant

_WORDS = 4  # int32 in a vector


def finish(schedule: Any, lanes: int, q: Requant, add: Add | None = None) -> list[Intrinsic]:
    """The blocks that make ``lanes`` channels of ``y``; the last one stands for all of it."""
    blocks = [requant_block(lanes, q)]
    if add is not None:
        blocks.append(requant_add_block(lanes, q, add))
    schedule.tensorize(schedule.get_loops(schedule.get_sblock("y"))[-1], blocks[-1].name)
    return blocks


def requant_block(lanes: int, q: Requant) -> Intrinsic:
    """``lanes`` channels (a multiple of 4) from int32 sums to int8: ``Requant.apply`` with bias."""
    function = f"tt_mve_requantize_{lanes}{'_shifted' if q.shift else ''}"
    name = f"tinytailor.{function}_{q.zero_point}_{q.shift}_{q.low}_{q.high}"
    registered(name, lambda: _register_requant(name, function, lanes, q))
    return Intrinsic(name, function, _requant_text(function, lanes, bool(q.shift)))


def _register_requant(name: str, function: str, lanes: int, q: Requant) -> None:
    scalars = _requant_scalars(q)

    @script.prim_func(s_tir=True)
    def meaning(  # type: ignore[no-untyped-def]
        pa: T.handle, pb: T.handle, pm: T.handle, py: T.handle
    ):
        A = T.match_buffer(pa, (1, lanes), "int32", offset_factor=1)
        B = T.match_buffer(pb, (lanes,), "int32", offset_factor=1)
        M = T.match_buffer(pm, (lanes,), "int32", offset_factor=1)
        Y = T.match_buffer(py, (1, lanes), "int8", offset_factor=1)
        with T.sblock("root"):
            T.reads(A[0, 0:lanes], B[0:lanes], M[0:lanes])
            T.writes(Y[0, 0:lanes])
            for j in T.serial(lanes):
                with T.sblock("update"):
                    vj = T.axis.spatial(lanes, j)
                    Y[0, vj] = tir.requantize(A[0, vj] + B[vj], M[vj], q)

    @script.prim_func(s_tir=True)
    def call(  # type: ignore[no-untyped-def]
        pa: T.handle, pb: T.handle, pm: T.handle, py: T.handle
    ):
        A = T.match_buffer(pa, (1, lanes), "int32", offset_factor=1)
        B = T.match_buffer(pb, (lanes,), "int32", offset_factor=1)
        M = T.match_buffer(pm, (lanes,), "int32", offset_factor=1)
        Y = T.match_buffer(py, (1, lanes), "int8", offset_factor=1)
        with T.sblock("root"):
            T.reads(A[0, 0:lanes], B[0:lanes], M[0:lanes])
            T.writes(Y[0, 0:lanes])
            T.evaluate(
                T.call_extern(
                    "int32",
                    function,
                    T.address_of(A[0, 0]),
                    T.address_of(B[0]),
                    T.address_of(M[0]),
                    T.address_of(Y[0, 0]),
                    *scalars,
                )
            )

    TensorIntrin.register(name, meaning, call)


def _requant_scalars(q: Requant) -> tuple[Any, ...]:
    """zero_point, low, high, shift of the C function."""
    shift = tir.parameter("shift", q.shift) if q.shift else tir.const(0)
    return tir.parameter("zero_point", q.zero_point), *tir.bounds(q.low, q.high), shift


def _add_scalars(add: Add) -> tuple[Any, ...]:
    """left to sum_high of the C function."""
    return (
        tir.parameter("left", add.left),
        tir.parameter("right", add.right),
        tir.parameter("offset", add.bias),
        tir.parameter("right_shift", add.shift),
        tir.parameter("sum_zero_point", add.zero_point),
        *tir.bounds(add.low, add.high, "sum_"),
    )


def _requant_text(function: str, lanes: int, shifted: bool) -> str:
    scaled = "(acc[c] + bias[c]) * (1 << shift)" if shifted else "acc[c] + bias[c]"
    plain = f"""\
    for (int32_t c = 0; c < {lanes}; ++c) {{
        const int64_t product = (int64_t)({scaled}) * multiplier[c];
        int32_t value = (int32_t)((product + ((int64_t)1 << 31)) >> 32) + zero_point;
        value = value < low ? low : value > high ? high : value;
        y[c] = (int8_t)value;
    }}
    (void)shift;"""
    return (
        f"/* {lanes} channels of clamp(zero_point + ((acc + bias) * 2^shift * multiplier >> 32)),\n"
        " * the last shift rounded half up. */\n"
        f"TT_INLINE void {function}(const int32_t *acc, const int32_t *bias,\n"
        "    const int32_t *multiplier, int8_t *y, int32_t zero_point, int32_t low, int32_t high,\n"
        "    int32_t shift)\n"
        f"{{\n{MVE_OR_PLAIN.format(_requant_assembly(lanes, shifted), plain)}\n}}\n"
    )


def _requant_assembly(lanes: int, shifted: bool) -> str:
    """The clamp of a whole int8 saturates in two steps, bottom halves of words, then of halves."""
    wide: list[str] = []
    narrow: list[str] = []
    for tail in (wide, narrow):
        for at in range(0, lanes, _WORDS):
            if lanes == _WORDS:
                tail += [
                    "vmov q0[2], q0[0], %[c0], %[c2]",
                    "vmov q0[3], q0[1], %[c1], %[c3]",
                ]
            else:
                tail.append(f"vldrw.32 q0, [%[acc], #{4 * at}]")
            tail += [
                f"vldrw.32 q1, [%[bias], #{4 * at}]",
                f"vldrw.32 q2, [%[multiplier], #{4 * at}]",
                "vadd.i32 q0, q0, q1",
                *(["vshl.s32 q0, %[shift]"] if shifted else []),
                "vrmulh.s32 q0, q0, q2",
                "vadd.i32 q0, q0, %[zero_point]",
            ]
            if tail is wide:
                tail += ["vqmovnb.s32 q0, q0", "vqmovnb.s16 q0, q0"]
            else:
                tail += ["vdup.32 q1, %[low]", "vdup.32 q2, %[high]"]
                tail += ["vmax.s32 q0, q0, q1", "vmin.s32 q0, q0, q2"]
            tail.append(f"vstrb.32 q0, [%[y], #{at}]")
    inputs = ['[bias] "r"(bias)', '[multiplier] "r"(multiplier)', '[y] "l"(y)']
    inputs.append('[zero_point] "r"(zero_point)')
    if lanes == _WORDS:
        inputs += [f'[c{c}] "r"(acc[{c}])' for c in range(_WORDS)]
    else:
        inputs.append('[acc] "r"(acc)')
    if shifted:
        inputs.append('[shift] "r"(shift)')
    clobbers = ["q0", "q1", "q2", "memory"]
    bounds = ['[low] "r"(low)', '[high] "r"(high)']
    full = assembly([], wide, [], inputs, clobbers, [])
    bounded = assembly([], narrow, [], inputs + bounds, clobbers, [])
    unused = "" if shifted else "    (void)shift;\n"
    return (
        f"{unused}    if (low == -128 && high == 127) {{\n{full}\n    }} else {{\n{bounded}\n    }}"
    )


# --- a sum behind it


def requant_add_block(lanes: int, q: Requant, add: Add) -> Intrinsic:
    """``requant_block`` and ``add`` with another tensor; its text calls that of the former."""
    requant = requant_block(lanes, q)
    function = f"{requant.function}_add"
    values = (add.left, add.right, add.bias, add.shift, add.zero_point, add.low, add.high)
    name = f"{requant.name}_add_{'_'.join(map(str, values))}"
    registered(name, lambda: _register_requant_add(name, function, lanes, q, add))
    return Intrinsic(name, function, _add_text(function, requant.function, lanes))


def _order_of_reads(add: Add) -> Callable[..., tuple[Any, ...]]:
    """A block is matched with its reads in order; TVM sorts the terms of a sum by their factors."""
    a, r = (te.placeholder((_WORDS,), "int8", name=name) for name in "ar")
    y = te.compute((_WORDS,), lambda o: sum_of(add, a[o], r[o]), name="y")
    schedule = tir.schedule_of((a, r, y))
    first = str(schedule.get(schedule.get_sblock("y")).reads[0].source.name)

    def order(acc: Any, bias: Any, multiplier: Any, added: Any) -> tuple[Any, ...]:
        own = (acc, bias, multiplier)
        return (added, *own) if first == "r" else (*own, added)

    return order


def _register_requant_add(name: str, function: str, lanes: int, q: Requant, add: Add) -> None:
    scalars = (*_requant_scalars(q), *_add_scalars(add))
    order = _order_of_reads(add)

    @script.prim_func(s_tir=True)
    def meaning(  # type: ignore[no-untyped-def]
        pa: T.handle, pb: T.handle, pm: T.handle, pr: T.handle, py: T.handle
    ):
        A = T.match_buffer(pa, (1, lanes), "int32", offset_factor=1)
        B = T.match_buffer(pb, (lanes,), "int32", offset_factor=1)
        M = T.match_buffer(pm, (lanes,), "int32", offset_factor=1)
        R = T.match_buffer(pr, (1, lanes), "int8", offset_factor=1)
        Y = T.match_buffer(py, (1, lanes), "int8", offset_factor=1)
        with T.sblock("root"):
            T.reads(*order(A[0, 0:lanes], B[0:lanes], M[0:lanes], R[0, 0:lanes]))
            T.writes(Y[0, 0:lanes])
            for j in T.serial(lanes):
                with T.sblock("update"):
                    vj = T.axis.spatial(lanes, j)
                    T.reads(*order(A[0, vj], B[vj], M[vj], R[0, vj]))
                    T.writes(Y[0, vj])
                    Y[0, vj] = sum_of(add, tir.requantize(A[0, vj] + B[vj], M[vj], q), R[0, vj])

    @script.prim_func(s_tir=True)
    def call(  # type: ignore[no-untyped-def]
        pa: T.handle, pb: T.handle, pm: T.handle, pr: T.handle, py: T.handle
    ):
        A = T.match_buffer(pa, (1, lanes), "int32", offset_factor=1)
        B = T.match_buffer(pb, (lanes,), "int32", offset_factor=1)
        M = T.match_buffer(pm, (lanes,), "int32", offset_factor=1)
        R = T.match_buffer(pr, (1, lanes), "int8", offset_factor=1)
        Y = T.match_buffer(py, (1, lanes), "int8", offset_factor=1)
        with T.sblock("root"):
            T.reads(*order(A[0, 0:lanes], B[0:lanes], M[0:lanes], R[0, 0:lanes]))
            T.writes(Y[0, 0:lanes])
            T.evaluate(
                T.call_extern(
                    "int32",
                    function,
                    T.address_of(A[0, 0]),
                    T.address_of(B[0]),
                    T.address_of(M[0]),
                    T.address_of(R[0, 0]),
                    T.address_of(Y[0, 0]),
                    *scalars,
                )
            )

    TensorIntrin.register(name, meaning, call)


def _add_text(function: str, requantize: str, lanes: int) -> str:
    plain = f"""\
    for (int32_t c = 0; c < {lanes}; ++c) {{
        int32_t value = ((sum[c] * left + r[c] * right + offset) >> right_shift) + sum_zero_point;
        value = value < sum_low ? sum_low : value > sum_high ? sum_high : value;
        y[c] = (int8_t)value;
    }}"""
    return f"""\
/* The same, and its sum with r, which is requantized again. */
TT_INLINE void {function}(const int32_t *acc, const int32_t *bias, const int32_t *multiplier,
    const int8_t *r, int8_t *y, int32_t zero_point, int32_t low, int32_t high, int32_t shift,
    int32_t left, int32_t right, int32_t offset, int32_t right_shift, int32_t sum_zero_point,
    int32_t sum_low, int32_t sum_high)
{{
    int8_t sum[{lanes}];
    {requantize}(acc, bias, multiplier, sum, zero_point, low, high, shift);
{MVE_OR_PLAIN.format(_add_assembly(lanes), plain)}
}}
"""


def _add_assembly(lanes: int) -> str:
    lines = []
    for at in range(0, lanes, _WORDS):
        lines += [
            f"vldrb.s32 q0, [%[sum], #{at}]",
            f"vldrb.s32 q1, [%[r], #{at}]",
            "vmul.i32 q0, q0, %[left]",
            "vmla.s32 q0, q1, %[right]",
            "vadd.i32 q0, q0, %[offset]",
            "vshl.s32 q0, %[down]",
            "vadd.i32 q0, q0, %[zero_point]",
            "vdup.32 q1, %[low]",
            "vdup.32 q2, %[high]",
            "vmax.s32 q0, q0, q1",
            "vmin.s32 q0, q0, q2",
            f"vstrb.32 q0, [%[y], #{at}]",
        ]
    inputs = ['[sum] "l"(sum)', '[r] "l"(r)', '[y] "l"(y)', '[left] "r"(left)']
    inputs += ['[right] "r"(right)', '[offset] "r"(offset)', '[down] "r"(-right_shift)']
    inputs += ['[zero_point] "r"(sum_zero_point)', '[low] "r"(sum_low)', '[high] "r"(sum_high)']
    return assembly([], lines, [], inputs, ["q0", "q1", "q2", "memory"], [])
