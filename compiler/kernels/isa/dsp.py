# SPDX-License-Identifier: Apache-2.0
"""Register-blocked inner kernels as TensorIntrins: the meaning in TIR, the text in C beside it.

``matmul_block(p, q, depth)`` accumulates a p x q tile of  acc[i, j] += sum_k a[i, k] * b[j, k]
with a int16 (pixels, widened once) and b int8 (weights in flash). On the DSP extension one SMLAD
does two products. Weights are stored in groups of four in the order 0, 2, 1, 3, so that SXTB16 of a
word yields (w0, w1) and SXTB16 with ROR #8 yields (w2, w3) with the activations in natural order.

The inner loop is one block of inline assembly with as few registers as the tile allows: left to
itself the compiler splits load groups and spills accumulators (research figures: 0.46 MAC/cycle for
intrinsics, 0.66 for this form).
"""

from __future__ import annotations

import numpy as np
from tvm.s_tir import TensorIntrin
from tvm.script import tirx as T

from tinytailor.compiler.kernels.bricks import script
from tinytailor.compiler.kernels.bricks.kernel import Intrinsic
from tinytailor.compiler.ops.window import Pair

GROUP = 4  # products per step: one word of int8 weights
WINDOW_CHANNELS = 4  # of a depthwise block
UNROLL = 4  # steps per pass of the assembly loop
STRAIGHT_STEPS = 6  # up to so many steps there is no loop
_MAX_OFFSET = 4095  # LDR immediate
_DSP_OR_PLAIN = "#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP\n{}\n#else\n{}\n#endif"


def padded_depth(depth: int) -> int:
    return -(-depth // GROUP) * GROUP


def pack_weights(weight: np.ndarray, rows: int) -> np.ndarray:
    """int8 (channels, depth) to (rows, padded depth): zero padded, groups of four as 0, 2, 1, 3."""
    channels, depth = weight.shape
    padded = np.zeros((rows, padded_depth(depth)), np.int8)
    padded[:channels, :depth] = weight
    groups = padded.reshape(rows, -1, GROUP)[:, :, [0, 2, 1, 3]]
    return np.ascontiguousarray(groups.reshape(rows, -1))


def matmul_block(p: int, q: int, depth: int) -> Intrinsic:
    """The p x q tile over ``depth`` products (the packed rows hold ``padded_depth`` of them)."""
    function = f"tt_matmul_{p}x{q}x{depth}"
    name = f"tinytailor.{function}"
    if TensorIntrin.get(name, allow_missing=True) is None:
        if p > 1:
            _register_tile(name, function, p, q, depth)
        else:
            register_row(name, function, q, depth, "int16")
    return Intrinsic(name, function, _matmul_text(function, p, q, padded_depth(depth) // GROUP))


def _register_tile(name: str, function: str, p: int, q: int, depth: int) -> None:
    @script.prim_func(s_tir=True)
    def meaning(pa: T.handle, pb: T.handle, pc: T.handle):  # type: ignore[no-untyped-def]
        A = T.match_buffer(pa, (p, depth), "int16", offset_factor=1)
        B = T.match_buffer(pb, (q, depth), "int8", offset_factor=1)
        C = T.match_buffer(pc, (p, q), "int32", offset_factor=1)
        with T.sblock("root"):
            T.reads(C[0:p, 0:q], A[0:p, 0:depth], B[0:q, 0:depth])
            T.writes(C[0:p, 0:q])
            for i, j, k in T.grid(p, q, depth):
                with T.sblock("update"):
                    vi, vj, vk = T.axis.remap("SSR", [i, j, k])
                    C[vi, vj] = C[vi, vj] + T.Cast("int32", A[vi, vk]) * T.Cast("int32", B[vj, vk])

    @script.prim_func(s_tir=True)
    def call(pa: T.handle, pb: T.handle, pc: T.handle):  # type: ignore[no-untyped-def]
        sa = T.int32()
        sb = T.int32()
        sc = T.int32()
        A = T.match_buffer(pa, (p, depth), "int16", strides=[sa, 1], offset_factor=1)
        B = T.match_buffer(pb, (q, depth), "int8", strides=[sb, 1], offset_factor=1)
        C = T.match_buffer(pc, (p, q), "int32", strides=[sc, 1], offset_factor=1)
        with T.sblock("root"):
            T.reads(C[0:p, 0:q], A[0:p, 0:depth], B[0:q, 0:depth])
            T.writes(C[0:p, 0:q])
            T.evaluate(
                T.call_extern(
                    "int32",
                    function,
                    T.address_of(A[0, 0]),
                    T.address_of(B[0, 0]),
                    T.address_of(C[0, 0]),
                )
            )

    TensorIntrin.register(name, meaning, call)


def register_row(name: str, function: str, q: int, depth: int, dtype: str) -> None:
    """A tile of one pixel, which is of ``dtype``: TVM drops loops of one turn, so the pattern must
    not have one."""

    @script.prim_func(s_tir=True)
    def meaning(pa: T.handle, pb: T.handle, pc: T.handle):  # type: ignore[no-untyped-def]
        A = T.match_buffer(pa, (1, depth), dtype, offset_factor=1)
        B = T.match_buffer(pb, (q, depth), "int8", offset_factor=1)
        C = T.match_buffer(pc, (1, q), "int32", offset_factor=1)
        with T.sblock("root"):
            T.reads(C[0, 0:q], A[0, 0:depth], B[0:q, 0:depth])
            T.writes(C[0, 0:q])
            for j, k in T.grid(q, depth):
                with T.sblock("update"):
                    vj, vk = T.axis.remap("SR", [j, k])
                    C[0, vj] = C[0, vj] + T.Cast("int32", A[0, vk]) * T.Cast("int32", B[vj, vk])

    @script.prim_func(s_tir=True)
    def call(pa: T.handle, pb: T.handle, pc: T.handle):  # type: ignore[no-untyped-def]
        sb = T.int32()
        A = T.match_buffer(pa, (1, depth), dtype, offset_factor=1)
        B = T.match_buffer(pb, (q, depth), "int8", strides=[sb, 1], offset_factor=1)
        C = T.match_buffer(pc, (1, q), "int32", offset_factor=1)
        with T.sblock("root"):
            T.reads(C[0, 0:q], A[0, 0:depth], B[0:q, 0:depth])
            T.writes(C[0, 0:q])
            T.evaluate(
                T.call_extern(
                    "int32",
                    function,
                    T.address_of(A[0, 0]),
                    T.address_of(B[0, 0]),
                    T.address_of(C[0, 0]),
                )
            )

    TensorIntrin.register(name, meaning, call)


def _matmul_text(function: str, p: int, q: int, steps: int) -> str:
    """C of the block: rows of a are ``4 * steps`` int16 apart, rows of b ``4 * steps`` int8."""
    wide = steps * GROUP
    reachable = max((p - 1) * wide * 2, (q - 1) * wide) <= _MAX_OFFSET
    assembly = _matmul_assembly(p, q, steps) if reachable else None
    plain = f"""\
    for (int32_t i = 0; i < {p}; ++i) {{
        for (int32_t j = 0; j < {q}; ++j) {{
            const int16_t *x = a + i * {wide};
            const int8_t *w = b + j * {wide};
            int32_t sum = acc[i * {q} + j];
            for (int32_t k = 0; k < {wide}; k += 4) {{
                sum += x[k] * w[k] + x[k + 1] * w[k + 2];
                sum += x[k + 2] * w[k + 1] + x[k + 3] * w[k + 3];
            }}
            acc[i * {q} + j] = sum;
        }}
    }}"""
    body = plain if assembly is None else _DSP_OR_PLAIN.format(assembly, plain)
    return (
        f"/* acc[{p}][{q}] += a[{p}][{wide}] * b[{q}][{wide}]^T; "
        "weights in groups of four as 0, 2, 1, 3. */\n"
        f"TT_INLINE void {function}(const int16_t *a, const int8_t *b, int32_t *acc)\n"
        f"{{\n{body}\n}}\n"
    )


def _step(p: int, q: int, wide: int) -> list[str]:
    """Four products of the tile: one weight word per column, two activation words per row.

    w0.. hold weight words, x0.. activation words, t widened weights, cij the tile. Loads stand in
    groups because n loads in a row cost n + 1 cycles; row 0 and column 0 come last and move the
    pointers on.
    """
    rows = [f"ldr %[x{i}], [%[a], #{i * wide * 2}]" for i in reversed(range(1, p))]
    rows.append("ldr %[x0], [%[a]], #4")
    lines = [f"ldr %[w{j}], [%[b], #{j * wide}]" for j in reversed(range(1, q))]
    lines.append("ldr %[w0], [%[b]], #4")
    for rotate in ("", ", ror #8"):
        lines += rows
        for j in range(q):
            lines.append(f"sxtb16 %[t], %[w{j}]{rotate}")
            lines += [f"smlad %[c{i}{j}], %[t], %[x{i}], %[c{i}{j}]" for i in range(p)]
    return lines


def _macro(name: str, lines: list[str]) -> str:
    """A C macro of several lines of assembly; undefined again behind its function."""
    return " \\\n".join((f"#define {name}", *(f'    "{line}\\n"' for line in lines)))


def _matmul_assembly(p: int, q: int, steps: int) -> str:
    wide = steps * GROUP
    passes, peeled = divmod(steps, UNROLL) if steps > STRAIGHT_STEPS else (0, steps)
    lines = [" ".join(["TT_STEP"] * peeled)] if peeled else []
    if passes:
        turn = " ".join(["TT_STEP"] * UNROLL)
        lines += [r'"1:\n"', turn, r'"subs %[n], %[n], #1\n"', r'"bne 1b\n"']
    tile = [(i, j) for i in range(p) for j in range(q)]
    moved = [f'[c{i}{j}] "+r"(c{i}{j})' for i, j in tile] + ['[a] "+r"(a)', '[b] "+r"(b)']
    names = [f"x{i}" for i in range(p)] + [f"w{j}" for j in range(q)] + ["t"]
    declarations = [f"    int32_t c{i}{j} = acc[{i * q + j}];" for i, j in tile]
    declarations.append(f"    int32_t {', '.join(names)};")
    if passes:
        moved.append('[n] "+r"(n)')
        declarations.append(f"    int32_t n = {passes};")
    scratch = ", ".join(f'[{name}] "=&r"({name})' for name in names)
    text = "\n".join(f"        {line}" for line in lines)
    results = "\n".join(f"    acc[{i * q + j}] = c{i}{j};" for i, j in tile)
    return (
        _macro("TT_STEP", _step(p, q, wide))
        + "\n"
        + "\n".join(declarations)
        + f"\n    __asm__ volatile(\n{text}\n        : {', '.join(moved)},\n          {scratch}\n"
        + f'        :\n        : "cc", "memory");\n{results}\n#undef TT_STEP'
    )


def depthwise_block(kernel: Pair, row: int, column: int, channels: int) -> Intrinsic:
    """Four channels over all taps: acc[c] += sum_ij x[i, j, c] * w[i, j, c].

    ``row`` and ``column`` are the distances in bytes between taps of x, ``channels`` of w.
    """
    kh, kw = kernel
    function = f"tt_depthwise_{kh}x{kw}_{row}_{column}_{channels}"
    name = f"tinytailor.{function}"
    if TensorIntrin.get(name, allow_missing=True) is None:
        _register_depthwise(name, function, kh, kw)
    return Intrinsic(name, function, _depthwise_text(function, kernel, row, column, channels))


def _depthwise_text(function: str, kernel: Pair, row: int, column: int, channels: int) -> str:
    """C of the window: both words of a tap are split into even and odd channels."""
    kh, kw = kernel
    taps = [(i * row + j * column, (i * kw + j) * channels) for i in range(kh) for j in range(kw)]
    body = f"""\
    for (int32_t i = 0; i < {kh}; ++i) {{
        for (int32_t j = 0; j < {kw}; ++j) {{
            for (int32_t c = 0; c < 4; ++c) {{
                acc[c] += x[i * {row} + j * {column} + c] * w[(i * {kw} + j) * {channels} + c];
            }}
        }}
    }}"""
    if max(max(tap) for tap in taps) <= _MAX_OFFSET:
        body = _DSP_OR_PLAIN.format(_depthwise_assembly(taps), body)
    return (
        f"/* Four channels of a {kh}x{kw} depthwise window. */\n"
        f"TT_INLINE void {function}(const int8_t *x, const int8_t *w, int32_t *acc)\n"
        f"{{\n{body}\n}}\n"
    )


def _depthwise_assembly(taps: list[tuple[int, int]]) -> str:
    tap = ['ldr %[xs], [%[x], #" #x_offset "]', 'ldr %[ws], [%[w], #" #w_offset "]']
    for rotate, low, high in (("", 0, 2), (", ror #8", 1, 3)):
        tap += [
            f"sxtb16 %[u], %[xs]{rotate}",
            f"sxtb16 %[v], %[ws]{rotate}",
            f"smlabb %[c{low}], %[u], %[v], %[c{low}]",
            f"smlatt %[c{high}], %[u], %[v], %[c{high}]",
        ]
    moved = ", ".join(f'[c{c}] "+r"(c{c})' for c in range(4))
    scratch = ", ".join(f'[{name}] "=&r"({name})' for name in ("xs", "ws", "u", "v"))
    return "\n".join(
        [
            _macro("TT_TAP(x_offset, w_offset)", tap),
            *(f"    int32_t c{c} = acc[{c}];" for c in range(4)),
            "    int32_t xs, ws, u, v;",
            "    __asm__ volatile(",
            *(f"        TT_TAP({x_offset}, {w_offset})" for x_offset, w_offset in taps),
            f"        : {moved},",
            f"          {scratch}",
            '        : [x] "r"(x), [w] "r"(w)',
            '        : "memory");',
            *(f"    acc[{c}] = c{c};" for c in range(4)),
            "#undef TT_TAP",
        ]
    )


def _register_depthwise(name: str, function: str, kh: int, kw: int) -> None:
    @script.prim_func(s_tir=True)
    def meaning(pa: T.handle, pb: T.handle, pc: T.handle):  # type: ignore[no-untyped-def]
        A = T.match_buffer(pa, (kh, kw, 4), "int8", offset_factor=1)
        B = T.match_buffer(pb, (kh, kw, 4), "int8", offset_factor=1)
        C = T.match_buffer(pc, (1, 1, 4), "int32", offset_factor=1)
        with T.sblock("root"):
            T.reads(C[0, 0, 0:4], A[0:kh, 0:kw, 0:4], B[0:kh, 0:kw, 0:4])
            T.writes(C[0, 0, 0:4])
            for c, i, j in T.grid(4, kh, kw):
                with T.sblock("update"):
                    vc, vi, vj = T.axis.remap("SRR", [c, i, j])
                    C[0, 0, vc] = C[0, 0, vc] + T.Cast("int32", A[vi, vj, vc]) * T.Cast(
                        "int32", B[vi, vj, vc]
                    )

    @script.prim_func(s_tir=True)
    def call(pa: T.handle, pb: T.handle, pc: T.handle):  # type: ignore[no-untyped-def]
        sa = T.int32()
        ta = T.int32()
        sb = T.int32()
        tb = T.int32()
        A = T.match_buffer(pa, (kh, kw, 4), "int8", strides=[sa, ta, 1], offset_factor=1)
        B = T.match_buffer(pb, (kh, kw, 4), "int8", strides=[sb, tb, 1], offset_factor=1)
        C = T.match_buffer(pc, (1, 1, 4), "int32", offset_factor=1)
        with T.sblock("root"):
            T.reads(C[0, 0, 0:4], A[0:kh, 0:kw, 0:4], B[0:kh, 0:kw, 0:4])
            T.writes(C[0, 0, 0:4])
            T.evaluate(
                T.call_extern(
                    "int32",
                    function,
                    T.address_of(A[0, 0, 0]),
                    T.address_of(B[0, 0, 0]),
                    T.address_of(C[0, 0, 0]),
                )
            )

    TensorIntrin.register(name, meaning, call)
