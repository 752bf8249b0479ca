# SPDX-License-Identifier: Apache-2.0
"""Programs whose functions are called one by one: arguments, regions, stack, every fault; and bytes
written where they must not be."""

from __future__ import annotations

import re
import struct

from tinytailor.targets import Buffer

PROGRAM = """
#include <stdint.h>
#define FAR __attribute__((noinline, noclone))
static volatile int32_t sink;
static const int32_t table[64] = {1, 2, 3};

/* more pointers than registers */
void sum6(int32_t *a, int32_t *b, int32_t *c, int32_t *d, int32_t *e, int32_t *f);
void sum6(int32_t *a, int32_t *b, int32_t *c, int32_t *d, int32_t *e, int32_t *f)
{
    *f = *a + 10 * *b + 100 * *c + 1000 * *d + 10000 * *e;
}

/* regions: outer calls first and second, both call shared; third ends in a tail call of shared */
FAR void shared(int32_t n);
FAR void shared(int32_t n)
{
    int32_t s = 0;
    for (int32_t i = 0; i < n; ++i) { s += ((volatile const int32_t *)table)[i & 63]; }
    sink = s;
}
FAR void first(int32_t n);
FAR void first(int32_t n) { shared(n); sink = sink + 1; }
FAR void second(int32_t n);
FAR void second(int32_t n) { shared(2 * n); sink = sink + 2; }
FAR void third(int32_t n);
FAR void third(int32_t n) { shared(3 * n); }
void outer(int32_t *x);
void outer(int32_t *x)
{
    for (int32_t i = 0; i < 3; ++i) { first(*x); second(*x); third(*x); }
}
void only_shared(int32_t *x);
void only_shared(int32_t *x) { shared(*x); sink = 0; }

void deep(int32_t *x);
void deep(int32_t *x)
{
    volatile uint8_t frame[2000];
    for (int32_t i = 0; i < 2000; ++i) { frame[i] = (uint8_t)i; }
    *x = frame[*x];
}
FAR int32_t recurse(int32_t n);
FAR int32_t recurse(int32_t n)
{
    volatile int32_t v = n;
    sink = n ? recurse(n - 1) : 0;
    return sink + v;
}
void recursive(int32_t *x);
void recursive(int32_t *x) { *x = recurse(*x); }

void read_nowhere(int32_t *x);
void read_nowhere(int32_t *x) { *x = *(volatile int32_t *)0x40000000; }
void write_flash(int32_t *x);
void write_flash(int32_t *x) { *(volatile int32_t *)(uintptr_t)&table[1] = *x; }
void undefined(int32_t *x);
void undefined(int32_t *x) { (void)x; __asm volatile("udf #1"); }
void forever(int32_t *x);
void forever(int32_t *x) { (void)x; for (;;) { sink = 1; } }
void unaligned(int32_t *x);
void unaligned(int32_t *x) { *x = *(volatile int32_t *)((uintptr_t)x + 1); }
void unaligned_pair(int32_t *x);
void unaligned_pair(int32_t *x)
{
#if __ARM_ARCH >= 7
    __asm volatile("ldrd r2, r3, [%0, #0]" : : "r"((uintptr_t)x + 2) : "r2", "r3", "memory");
#else
    __asm volatile("ldm %0!, {r2, r3}" : : "r"((uintptr_t)x + 2) : "r2", "r3", "memory");
#endif
}
void service(int32_t *x);
void service(int32_t *x) { (void)x; __asm volatile("svc #0"); }
void nothing(int32_t *x);
void nothing(int32_t *x) { (void)x; }

void addresses(uint8_t *x, uint8_t *y, uint32_t *z);
void addresses(uint8_t *x, uint8_t *y, uint32_t *z)
{
    z[0] = (uintptr_t)x;
    z[1] = (uintptr_t)y;
    z[2] = x[0]++;
    z[3] = y[0]++;
}
"""
STRAY = """
#include <stdint.h>
/* x[1] is written at place x[0] of y, of the arena, or of x itself */
static uint8_t arena[52] __attribute__((aligned(8)));
static uint8_t other[8] __attribute__((aligned(64)));
void output(int32_t *x, uint8_t *y);
void output(int32_t *x, uint8_t *y) { y[x[0]] = (uint8_t)x[1]; }
void scratch(int32_t *x, uint8_t *y);
void scratch(int32_t *x, uint8_t *y)
{
    ((volatile uint8_t *)arena)[x[0]] = (uint8_t)x[1];
    y[0] = arena[1] + other[0];
}
void input(int32_t *x, uint8_t *y);
void input(int32_t *x, uint8_t *y) { ((uint8_t *)x)[x[0]] = (uint8_t)x[1]; y[0] = 0; }
"""


def functions(program: str) -> dict[str, int]:
    """Name -> number of its pointers."""
    declared = re.findall(r"^(?:FAR )?\w+ (\w+)\((.*)\);$", program, re.MULTILINE)
    return {name: parameters.count("*") for name, parameters in declared}


def number(value: int) -> Buffer:
    """An int32 that the function may change."""
    return Buffer(4, struct.pack("<i", value), read_back=True)


def value_of(data: bytes) -> int:
    return int(struct.unpack("<i", data)[0])
