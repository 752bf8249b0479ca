# SPDX-License-Identifier: Apache-2.0
"""A few taps of a pixel, times a factor each, with MVE: the channels of one pixel of the result.

    interpolate_block    y[c] = clamp(((sum_k x[offset_k + c] * factor_k + bias) >> shift) + zero)

Four channels at a time in 32 bits, the last ones with their lanes masked by the loop itself (LETP).
It is called, not matched, as tables say where the taps of a pixel lie. Its meaning in C is beside.
What all pixels share comes through memory, as three pointers and four factors fill the registers.
"""

from __future__ import annotations

from collections.abc import Sequence

from tinytailor.compiler.kernels.bricks.kernel import Intrinsic
from tinytailor.compiler.kernels.isa.mve import MVE_OR_PLAIN, assembly

# What it is in C, and the vector that holds it in every lane.
SCALARS = {"low": "q2", "high": "q3", "bias": "q4", "-right_shift": "q5", "zero_point": "q6"}
FARTHEST = 127  # bytes of a tap from the pointer of its row: the offset of a load that widens


def interpolate_block(rows: Sequence[int], columns: Sequence[int], channels: int) -> Intrinsic:
    """Taps at each of ``rows`` plus each of ``columns`` (bytes, the first of both 0)."""
    taps = [(row, column) for row in rows for column in columns]
    function = f"tt_mve_interpolate_{'_'.join(str(sum(tap)) for tap in taps)}_{channels}"
    factors = [f"f{number}" for number in range(len(taps))]
    terms = " + ".join(
        f"x[{row + column} + c] * {factor}"
        for (row, column), factor in zip(taps, factors, strict=True)
    )
    plain = f"""\
    for (int32_t c = 0; c < {channels}; ++c) {{
        int32_t value = (({terms} + bias) >> right_shift) + zero_point;
        value = value < low ? low : value > high ? high : value;
        y[c] = (int8_t)value;
    }}"""
    body = MVE_OR_PLAIN.format(_assembly(rows, columns, channels), plain)
    text = (
        f"/* {channels} channels of a pixel from {len(taps)} taps. */\n"
        f"TT_INLINE void {function}(const int8_t *x, int8_t *y,\n"
        f"    {', '.join(f'int32_t {factor}' for factor in factors)}, int32_t bias,\n"
        "    int32_t right_shift, int32_t zero_point, int32_t low, int32_t high)\n"
        f"{{\n{body}\n}}\n"
    )
    return Intrinsic(f"tinytailor.{function}", function, text)


def _assembly(rows: Sequence[int], columns: Sequence[int], channels: int) -> str:
    """A pointer for each row moves on with its first tap, which is read last."""
    lines = []
    for place, vector in enumerate(SCALARS.values()):
        lines += [f"ldr lr, [%[scalars], #{4 * place}]", f"vdup.32 {vector}, lr"]
    lines += [f"movw lr, #{channels}", "dlstp.32 lr, lr", "1:"]
    taps = [(r, c) for r in range(len(rows)) for c in reversed(range(len(columns)))]
    for number, (row, column) in enumerate(taps):
        at = f", #{columns[column]}]" if column else "], #4"
        factor = f"%[f{row * len(columns) + column}]"
        lines.append(f"vldrb.s32 {'q1' if number else 'q0'}, [%[x{row}]{at}")
        lines.append(f"vmla.s32 q0, q1, {factor}" if number else f"vmul.i32 q0, q0, {factor}")
    lines += [
        "vadd.i32 q0, q0, q4",
        "vshl.s32 q0, q0, q5",
        "vadd.i32 q0, q0, q6",
        "vmax.s32 q0, q0, q2",
        "vmin.s32 q0, q0, q3",
        "vstrb.32 q0, [%[y]], #4",
        "letp lr, 1b",
    ]
    moved = [f'[x{row}] "+l"(x{row})' for row in range(len(rows))] + ['[y] "+l"(y)']
    inputs = [f'[f{number}] "r"(f{number})' for number in range(len(rows) * len(columns))]
    inputs += ['[scalars] "r"(scalars)', '"m"(scalars)']
    before = [f"    const int8_t *x{row} = x + {offset};" for row, offset in enumerate(rows)]
    values = ", ".join(SCALARS)
    before.append(f"    const int32_t scalars[{len(SCALARS)}] = {{ {values} }};")
    clobbers = ["q0", "q1", *SCALARS.values(), "lr", "memory"]
    return assembly(before, lines, moved, inputs, clobbers, [])
