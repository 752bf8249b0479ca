/* SPDX-License-Identifier: Apache-2.0
 *
 * Both caches of a Cortex-M7, invalidated and on. Arm DDI 0403 (ARMv7-M), B2.2 and B3.2.
 */
#ifndef TT_M7_CACHES_H
#define TT_M7_CACHES_H

#include "../port.h"

#define CCR 0xE000ED14u
#define CCSIDR 0xE000ED80u
#define CSSELR 0xE000ED84u
#define ICIALLU 0xE000EF50u
#define DCISW 0xE000EF60u

static void m7_caches_on(void)
{
    TT_REGISTER(CSSELR) = 0; /* the data cache */
    __asm volatile("dsb" ::: "memory");
    uint32_t size = TT_REGISTER(CCSIDR);
    uint32_t sets = (size >> 13) & 0x7FFFu, ways = (size >> 3) & 0x3FFu;
    for (uint32_t set = 0; set <= sets; ++set) {
        for (uint32_t way = 0; way <= ways; ++way) {
            TT_REGISTER(DCISW) = set << 5 | way << 30; /* 32-byte lines, four ways */
        }
    }
    TT_REGISTER(ICIALLU) = 0;
    __asm volatile("dsb\n\tisb" ::: "memory");
    TT_REGISTER(CCR) |= 1u << 17 | 1u << 16;
    __asm volatile("dsb\n\tisb" ::: "memory");
}

#endif
