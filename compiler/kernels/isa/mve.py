# SPDX-License-Identifier: Apache-2.0
"""Inner kernels for MVE (Helium, Cortex-M55): int8 lanes, the meaning in TIR beside the text in C.

    dot_block       acc[j] += sum_k x[k] * w[j, k]            16 products and their sum at a time
    window_block    acc[c] += sum_ij x[i, j, c] * w[i, j, c]  8 channels at a time, in 32 bits

VMLADAVA.S8 sums the products of 16 lanes into a general register, so activations stay int8 and
need no widening. Four channels share each load of activations; their weights lie in blocks of
``[4 channels][16]``, so that one pointer walks through them.
The vector registers q0 to q3 are scratch in every call; q4 to q7 are the caller's. Even general
registers only can take sums: the constraint Te. Loads that widen and stores that narrow take their
address from a low register: the constraint l.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from tvm.s_tir import TensorIntrin
from tvm.script import tirx as T

from tinytailor.compiler.kernels.bricks import script
from tinytailor.compiler.kernels.bricks.kernel import Intrinsic
from tinytailor.compiler.kernels.isa.dsp import register_row
from tinytailor.compiler.ops.window import Pair

LANES = 16  # int8 in a vector
CHANNELS = 4  # that share a load of activations, and that are requantized at once
STRAIGHT_STEPS = 9  # up to so many vectors there is no loop
UNROLL = 4  # vectors per pass of the loop
_MAX_ADD = 4095
MVE_OR_PLAIN = "#if defined(__ARM_FEATURE_MVE) && __ARM_FEATURE_MVE\n{}\n#else\n{}\n#endif"


def padded_depth(depth: int) -> int:
    return -(-depth // LANES) * LANES


def pack_dot_weights(weight: np.ndarray) -> np.ndarray:
    """int8 (channels, depth) to (padded channels, padded depth), in blocks of 4 channels x 16."""
    channels, depth = weight.shape
    rows = -(-channels // CHANNELS) * CHANNELS
    padded = np.zeros((rows, padded_depth(depth)), np.int8)
    padded[:channels, :depth] = weight
    blocks = padded.reshape(rows // CHANNELS, CHANNELS, -1, LANES).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(blocks.reshape(rows, -1))


def pack_window_weights(weight: np.ndarray, lanes: int) -> np.ndarray:
    """int8 (kh, kw, channels) to (channels / lanes, kh, kw, lanes)."""
    kh, kw, channels = weight.shape
    return np.ascontiguousarray(
        weight.reshape(kh, kw, channels // lanes, lanes).transpose(2, 0, 1, 3)
    )


def registered(name: str, register: Callable[[], None]) -> None:
    if TensorIntrin.get(name, allow_missing=True) is None:
        register()


# --- products


def dot_block(depth: int) -> Intrinsic:
    """Four channels of one pixel over ``depth`` products; weights as ``pack_dot_weights`` has."""
    function = f"tt_mve_dot_{depth}"
    name = f"tinytailor.{function}"
    registered(name, lambda: register_row(name, function, CHANNELS, depth, "int8"))
    return Intrinsic(name, function, _dot_text(function, depth))


def _dot_text(function: str, depth: int) -> str:
    plain = f"""\
    for (int32_t j = 0; j < {CHANNELS}; ++j) {{
        for (int32_t k = 0; k < {depth}; ++k) {{
            const int32_t block = k / {LANES} * {LANES * CHANNELS};
            acc[j] += x[k] * w[block + j * {LANES} + k % {LANES}];
        }}
    }}"""
    return (
        f"/* acc[{CHANNELS}] += w[{CHANNELS}][{depth}] * x[{depth}]; "
        f"weights in blocks of [{CHANNELS}][{LANES}]. */\n"
        f"TT_INLINE void {function}(const int8_t *x, const int8_t *w, int32_t *acc)\n"
        f"{{\n{MVE_OR_PLAIN.format(_dot_assembly(depth), plain)}\n}}\n"
    )


def _dot_assembly(depth: int) -> str:
    """Whole vectors straight or in a loop, then the rest with its lanes masked.

    Weights are padded with zeros, so only activations, behind which other data lies, are masked.
    """
    whole, rest = divmod(depth, LANES)
    passes, straight = divmod(whole, UNROLL) if whole > STRAIGHT_STEPS else (0, whole)
    products = []
    for j in range(CHANNELS):
        products += [f"vldrb.8 q{1 + j % 2}, [%[w]], #{LANES}"]
        products += [f"vmladava.s8 %[c{j}], q0, q{1 + j % 2}"]
    step = [f"vldrb.8 q0, [%[x]], #{LANES}", *products]
    lines = step * straight
    if passes:
        lines = [f"movw lr, #{passes}", "dls lr, lr", "1:", *(step * UNROLL), "le lr, 1b", *lines]
    if rest:
        lines += ["vctp.8 %[n]", "vpst", "vldrbt.u8 q0, [%[x]]", *products]
    moved = [f'[c{j}] "+Te"(c{j})' for j in range(CHANNELS)] + ['[x] "+r"(x)', '[w] "+r"(w)']
    clobbers = ["q0", "q1", "q2", "cc", "memory"] + (["lr"] if passes else [])
    return assembly(
        [f"    int32_t c{j} = acc[{j}];" for j in range(CHANNELS)],
        lines,
        moved,
        [f'[n] "r"({rest})'] if rest else [],
        clobbers,
        [f"    acc[{j}] = c{j};" for j in range(CHANNELS)],
    )


def assembly(
    before: list[str],
    lines: list[str],
    outputs: list[str],
    inputs: list[str],
    clobbers: list[str],
    after: list[str],
) -> str:
    names = ", ".join(f'"{clobber}"' for clobber in clobbers)
    return "\n".join(
        [
            *before,
            "    __asm__ volatile(",
            *(f'        "{line}\\n"' for line in lines),
            f"        : {', '.join(outputs)}",
            f"        : {', '.join(inputs)}",
            f"        : {names});",
            *after,
        ]
    )


# --- depthwise windows


def window_lanes(channels: int) -> int | None:
    """Channels per block of a depthwise convolution, None where they do not divide."""
    return next((lanes for lanes in (16, 8) if channels % lanes == 0), None)


def window_block(kernel: Pair, row: int, column: int, lanes: int) -> Intrinsic:
    """``lanes`` channels over all taps; ``row`` and ``column``: bytes between taps of x."""
    kh, kw = kernel
    function = f"tt_mve_window_{kh}x{kw}_{row}_{column}_{lanes}"
    name = f"tinytailor.{function}"
    registered(name, lambda: _register_window(name, function, kernel, lanes))
    return Intrinsic(name, function, _window_text(function, kernel, row, column, lanes))


def _register_window(name: str, function: str, kernel: Pair, lanes: int) -> None:
    kh, kw = kernel

    @script.prim_func(s_tir=True)
    def meaning(pa: T.handle, pb: T.handle, pc: T.handle):  # type: ignore[no-untyped-def]
        A = T.match_buffer(pa, (kh, kw, lanes), "int8", offset_factor=1)
        B = T.match_buffer(pb, (1, kh, kw, lanes), "int8", offset_factor=1)
        C = T.match_buffer(pc, (1, 1, lanes), "int32", offset_factor=1)
        with T.sblock("root"):
            T.reads(C[0, 0, 0:lanes], A[0:kh, 0:kw, 0:lanes], B[0, 0:kh, 0:kw, 0:lanes])
            T.writes(C[0, 0, 0:lanes])
            for c, i, j in T.grid(lanes, kh, kw):
                with T.sblock("update"):
                    vc, vi, vj = T.axis.remap("SRR", [c, i, j])
                    C[0, 0, vc] = C[0, 0, vc] + T.Cast("int32", A[vi, vj, vc]) * T.Cast(
                        "int32", B[0, vi, vj, vc]
                    )

    @script.prim_func(s_tir=True)
    def call(pa: T.handle, pb: T.handle, pc: T.handle):  # type: ignore[no-untyped-def]
        sa = T.int32()
        ta = T.int32()
        rb = T.int32()
        sb = T.int32()
        tb = T.int32()
        A = T.match_buffer(pa, (kh, kw, lanes), "int8", strides=[sa, ta, 1], offset_factor=1)
        B = T.match_buffer(pb, (1, kh, kw, lanes), "int8", strides=[rb, sb, tb, 1], offset_factor=1)
        C = T.match_buffer(pc, (1, 1, lanes), "int32", offset_factor=1)
        with T.sblock("root"):
            T.reads(C[0, 0, 0:lanes], A[0:kh, 0:kw, 0:lanes], B[0, 0:kh, 0:kw, 0:lanes])
            T.writes(C[0, 0, 0:lanes])
            T.evaluate(
                T.call_extern(
                    "int32",
                    function,
                    T.address_of(A[0, 0, 0]),
                    T.address_of(B[0, 0, 0, 0]),
                    T.address_of(C[0, 0, 0]),
                )
            )

    TensorIntrin.register(name, meaning, call)


def _window_text(function: str, kernel: Pair, row: int, column: int, lanes: int) -> str:
    kh, kw = kernel
    body = f"""\
    for (int32_t i = 0; i < {kh}; ++i) {{
        for (int32_t j = 0; j < {kw}; ++j) {{
            for (int32_t c = 0; c < {lanes}; ++c) {{
                acc[c] += x[i * {row} + j * {column} + c] * w[(i * {kw} + j) * {lanes} + c];
            }}
        }}
    }}"""
    if max(column, row) <= _MAX_ADD:
        body = MVE_OR_PLAIN.format(_window_assembly(kernel, row, column, lanes), body)
    return (
        f"/* {lanes} channels of a {kh}x{kw} depthwise window. */\n"
        f"TT_INLINE void {function}(const int8_t *x, const int8_t *w, int32_t *acc)\n"
        f"{{\n{body}\n}}\n"
    )


def _window_assembly(kernel: Pair, row: int, column: int, lanes: int) -> str:
    """Each vector holds the even or the odd channels of eight, which VST2 puts in order again.

    VLD2 takes them apart in the same way. Products of bytes need 16 bits, sums 32.
    """
    kh, kw = kernel
    pairs = [(4, 5), (6, 7)][: lanes // 8]
    lines = []
    for pair, (even, odd) in enumerate(pairs):
        lines += [f"vld2{part}.32 {{q{even}, q{odd}}}, [%[at{pair}]]" for part in (0, 1)]
    taps = [(i, j) for i in range(kh) for j in range(kw)]
    for number, (i, j) in enumerate(taps):
        for pair, (even, odd) in enumerate(pairs):
            lines += [
                f"vldrb.s16 q0, [%[x], #{8 * pair}]" if pair else "vldrb.s16 q0, [%[x]]",
                "vldrb.s16 q1, [%[w]], #8",
                "vmullb.s16 q2, q0, q1",
                "vmullt.s16 q3, q0, q1",
                f"vadd.i32 q{even}, q{even}, q2",
                f"vadd.i32 q{odd}, q{odd}, q3",
            ]
        if number + 1 < len(taps):
            after = taps[number + 1]
            lines += _advance((after[0] - i) * row + (after[1] - j) * column)
    for pair, (even, odd) in enumerate(pairs):
        lines += [f"vst2{part}.32 {{q{even}, q{odd}}}, [%[at{pair}]]" for part in (0, 1)]
    return assembly(
        [],
        lines,
        ['[x] "+l"(x)', '[w] "+l"(w)'],
        [f'[at{pair}] "r"(acc + {8 * pair})' for pair in range(len(pairs))],
        [*(f"q{q}" for q in range(4 + 2 * len(pairs))), "memory"],
        [],
    )


def _advance(distance: int) -> list[str]:
    """x moves on by a distance that may be negative."""
    if distance == 0:
        return []
    return [f"{'addw' if distance > 0 else 'subw'} %[x], %[x], #{abs(distance)}"]
