# SPDX-License-Identifier: Apache-2.0
"""Small programs whose control flow is awkward to count. Each is ``void run(int32_t *x)``."""

from __future__ import annotations

import pytest

from tinytailor.targets import Toolchain, cross_toolchain
from tinytailor.targets.errors import ToolError

HEAD = """
#include <stdint.h>
#include <string.h>
void run(int32_t *x);
"""

COUNTED_LOOP = (
    HEAD
    + """
/* 1 + 1000 * 3 + 1 instructions */
__attribute__((naked)) void run(int32_t *x)
{
    __asm volatile(".syntax unified\\n ldr r1, [r0]\\n 1: adds r2, r2, #1\\n subs r1, r1, #1\\n"
                   "bne 1b\\n bx lr");
}
"""
)

BRANCHES = (
    HEAD
    + """
static __attribute__((noinline)) int32_t leaf(int32_t a) { return a > 3 ? a * 7 : a - 11; }
static __attribute__((noinline)) int32_t fib(int32_t n)
{
    return n < 2 ? leaf(n) : fib(n - 1) + fib(n - 2);
}
void run(int32_t *x)
{
    int32_t sum = 0;
    for (int32_t i = 0; i < 40; ++i) {
        switch ((i * 7 + x[0]) % 9) {
        case 0: sum += 3; break;
        case 1: sum ^= 0x55; break;
        case 2: sum -= leaf(i); break;
        case 3: sum *= 3; break;
        case 4: sum |= 0x1000; break;
        case 5: sum += fib(5); break;
        case 6: sum = -sum; break;
        default: sum >>= 1;
        }
    }
    x[1] = sum;
}
"""
)

MEMORY = (
    HEAD
    + """
static const uint8_t table[3000] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
static uint8_t copy[1500];
static int64_t wide = 5;
void run(int32_t *x)
{
    memcpy(copy, table + (x[0] & 1) + 1, sizeof copy - 4);
    int32_t sum = 0;
    for (int32_t i = 0; i < 1200; i += 3) {
        int32_t word;
        memcpy(&word, table + i + 1, 4); /* unaligned, and across pages */
        sum += word + copy[i];
    }
    wide += sum;
    x[1] = (int32_t)(wide / 7);
    x[2] = x[0] / 13 + (int32_t)((uint32_t)sum / 17u);
}
"""
)

STRAIGHT = (
    HEAD
    + """
#define ONE(i) a = a * 5 + b; b ^= a >> 3; x[2] = b;
#define TEN(i) ONE(i) ONE(i) ONE(i) ONE(i) ONE(i) ONE(i) ONE(i) ONE(i) ONE(i) ONE(i)
#define HUNDRED TEN(0) TEN(1) TEN(2) TEN(3) TEN(4) TEN(5) TEN(6) TEN(7) TEN(8) TEN(9)
void run(int32_t *x)
{
    volatile int32_t *y = x;
    int32_t a = y[0], b = y[1];
    for (int32_t i = 0; i < 3; ++i) { HUNDRED HUNDRED HUNDRED HUNDRED }
    y[1] = a + b;
}
"""
)

SELECTS = (
    HEAD
    + """
void run(int32_t *x)
{
    int32_t low = 0, high = 0, best = x[0];
    for (int32_t i = 0; i < 300; ++i) {
        int32_t v = (i * 2654435 + x[0]) >> 3;
        low = v < low ? v : low;
        high = v > high ? v : high;
        if ((v & 3) == 1) { best += v; } else { best -= 2; }
    }
    x[1] = low; x[2] = high; x[3] = best;
}
"""
)

FLOATS = (
    HEAD
    + """
static float state = 0.5f;
void run(int32_t *x)
{
    float a[8];
    for (int32_t i = 0; i < 8; ++i) { a[i] = (float)x[0] * 0.25f + (float)i; }
    for (int32_t i = 0; i < 50; ++i) { state = state * a[i & 7] / (a[(i + 1) & 7] + 3.0f); }
    x[1] = (int32_t)(state * 1000.0f);
}
"""
)

PROGRAMS = {
    "counted loop": COUNTED_LOOP,
    "branches": BRANCHES,
    "memory": MEMORY,
    "straight": STRAIGHT,
    "selects": SELECTS,
    "floats": FLOATS,
}


def toolchain_or_skip(name: str) -> Toolchain:
    """The cross compiler of a name, or a visible skip."""
    try:
        return cross_toolchain(name)
    except ToolError as error:
        pytest.skip(str(error))
