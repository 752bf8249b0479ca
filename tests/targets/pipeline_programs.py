# SPDX-License-Identifier: Apache-2.0
"""Loops whose cycles follow from a core's documented rules, as functions ``void NAME(int32_t *x)``.

Each one runs x[0] times, x is in r0, the number of rounds in r1. A row has the name, the body and
the cycles of one more round, counted by hand from the tables in ``targets/cycles``.
"""

from __future__ import annotations

from dataclasses import dataclass

Row = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class Loops:
    """Rows that begin and end alike."""

    core: str
    begin: str
    end: str
    rows: tuple[Row, ...]

    def text(self) -> str:
        """The C source of all of them."""
        functions = (self._function(name, body) for name, body, _ in self.rows)
        return "#include <stdint.h>\n" + "\n".join(functions)

    def _function(self, name: str, body: str) -> str:
        parts = ("push {r4-r8, lr}; ldr r1, [r0]", self.begin, ".p2align 2; 1:", body, self.end)
        code = "\\n ".join("; ".join((*filter(None, parts), "pop {r4-r8, pc}")).split("; "))
        return (
            f"void {name}(int32_t *x);\n__attribute__((naked)) void {name}(int32_t *x)\n"
            f'{{ __asm volatile(".syntax unified\\n {code}"); }}'
        )


# subs and bne are one pair, and after an odd number of instructions subs joins the last one
M7 = Loops(
    core="cortex-m7",
    begin="",
    end="subs r1, r1, #1; bne 1b",
    rows=(
        ("alone", "", 1),
        ("pairs", "add.w r2, r3, #1; add.w r4, r5, #1; add.w r6, r3, #2; add.w r7, r5, #2", 3),
        ("three_sums", "add.w r2, r3, #1; add.w r4, r5, #1; add.w r6, r3, #2", 3),
        ("chain", "eor.w r2, r2, #1; eor.w r2, r2, #2; eor.w r2, r2, #4; eor.w r2, r2, #8", 5),
        ("early_then_late", "add.w r2, r3, #1; eor.w r4, r2, #1", 2),
        ("product_chain", "smlad r2, r4, r5, r2; smlad r2, r4, r5, r2; smlad r2, r4, r5, r2", 4),
        ("product_used", "mul r2, r4, r5; eor.w r6, r2, #1", 4),
        ("load_used", "ldr.w r2, [r0]; eor.w r3, r2, #1", 3),
        ("load_multiplied", "ldr.w r2, [r0]; mul r3, r2, r4", 4),
        ("byte_used", "ldrb.w r2, [r0]; eor.w r3, r2, #1", 4),
        ("load_shifted", "ldr.w r2, [r0]; eor.w r3, r4, r2, lsl #3", 4),
        ("address_used", "eor.w r2, r2, r2; ldr.w r3, [r0, r2]", 4),
        ("two_banks", "ldr.w r2, [r0]; ldr.w r3, [r0, #4]", 2),
        ("one_bank", "ldr.w r2, [r0]; ldr.w r3, [r0, #8]", 3),
        ("load_and_store", "ldr.w r2, [r0]; str.w r3, [r0, #4]", 2),
        ("stored_at_once", "add.w r2, r3, #1; str.w r2, [r0, #4]", 2),
        ("two_stores", "str.w r2, [r0, #4]; str.w r3, [r0, #8]", 3),
        ("product_and_store", "mul r2, r4, r5; str.w r3, [r0, #4]", 3),
        ("two_fields", "uxtb.w r2, r3; uxtb.w r4, r5", 3),
        ("field_and_product", "uxtb.w r2, r3; mul r4, r5, r6", 2),
        ("two_shifted", "eor.w r2, r3, r4, lsl #1; eor.w r5, r6, r7, lsl #2", 3),
        ("four_registers", "ldm.w r0, {r2, r3, r4, r5}", 3),
        ("division", "udiv r2, r3, r4", 8),
        ("pair_of_halves", "movw r2, #1; movt r2, #2", 2),
        # mov with subs, bne; 8 rounds; subs with bne, subs with bne; the last bne 2b mispredicted
        ("left_once", "mov.w r2, #10; 2: subs.w r2, r2, #1; bne 2b", 2 + 8 + 2 + 8),
    ),
)
# LE takes no cycle, so that a round is the body
M55 = Loops(
    core="cortex-m55",
    begin="mov r2, r0; dls lr, r1",
    end="le lr, 1b",
    rows=(
        ("free_end", "nop.w", 1),
        ("load_and_product", "vldrb.u8 q0, [r2]; vmladava.s8 r4, q0, q1", 2),
        ("two_loads", "vldrb.u8 q0, [r2]; vldrb.u8 q1, [r2]", 4),
        ("two_products", "vmladava.s8 r4, q0, q1; vmladava.s8 r6, q0, q1", 4),
        ("two_sums", "vadd.i8 q0, q1, q2; vadd.i8 q3, q1, q2", 4),
        ("three_pipes", "vldrb.u8 q0, [r2]; vadd.i8 q1, q0, q2; vmul.i8 q3, q1, q2", 3),
        ("product_used", "vmul.i8 q0, q1, q2; vadd.i8 q3, q0, q1", 3),
        ("product_stored", "vmul.i8 q0, q1, q2; vstrb.8 q0, [r2]", 2),
        ("narrowed_stored", "vmovnb.i16 q0, q1; vstrb.8 q0, [r2]", 4),
        ("vectors_and_scalars", "vldrb.u8 q0, [r2]; add.w r4, r5, #1", 2),
        ("load_used", "ldr.w r4, [r2]; add.w r5, r4, #1", 3),
        ("shift_used", "add.w r4, r5, r6, lsl #3; add.w r7, r4, #1", 3),
        ("together", "adds r4, #1; lsls r5, r6, #1", 1),
        ("not_together", "adds r4, r5, r6; lsls r3, r6, #1", 2),
        ("branch", "b.n 2f; nop; 2:", 1 + 2),
    ),
)
# mov, dls, ten rounds of nop, 3 for the loop, subs, bne and 2 as it is taken
M55_NESTED = Loops(
    core="cortex-m55",
    begin="",
    end="subs.w r1, r1, #1; bne 1b",
    rows=(("loop_in_loop", "mov.w r4, #10; dls lr, r4; 2: nop.w; le lr, 2b", 1 + 1 + 10 + 3 + 4),),
)

LOOPS = (M7, M55, M55_NESTED)
