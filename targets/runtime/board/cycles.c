/* SPDX-License-Identifier: Apache-2.0
 *
 * Counting core cycles. SysTick counts 24 bits down and its exception counts the overflows; it is
 * loaded at each start, so that nothing interrupts a call of less than 2^24 cycles. Where the core
 * has a DWT cycle counter, that gives the exact low 32 bits, and SysTick what is above them.
 */
#include "cycles.h"

#include "port.h"

#define DEMCR 0xE000EDFCu
#define DWT_CTRL 0xE0001000u
#define DWT_CYCCNT 0xE0001004u
#define DWT_LAR 0xE0001FB0u /* the lock of the Cortex-M7; others ignore it */
#define SYST_CSR 0xE000E010u
#define SYST_RVR 0xE000E014u
#define SYST_CVR 0xE000E018u

static volatile uint32_t overflows;
static uint32_t first_tick, first_cycle;
static uint8_t counter;

uint8_t tt_cycles_init(int interrupt)
{
    counter = TT_COUNTER_SYSTICK;
    TT_REGISTER(SYST_RVR) = 0xFFFFFFu;
    TT_REGISTER(SYST_CVR) = 0;
    TT_REGISTER(SYST_CSR) = 5u | (interrupt ? 2u : 0u); /* core clock, enabled */
#if __ARM_ARCH >= 7
    TT_REGISTER(DEMCR) |= 1u << 24; /* TRCENA */
    TT_REGISTER(DWT_LAR) = 0xC5ACCE55u;
    TT_REGISTER(DWT_CTRL) |= 1u;
    uint32_t before = TT_REGISTER(DWT_CYCCNT);
    for (uint32_t i = 0; i < 100u; ++i) {
        __asm volatile("nop");
    }
    if (TT_REGISTER(DWT_CYCCNT) != before) {
        counter = TT_COUNTER_DWT;
    }
#endif
    return counter;
}

uint32_t tt_cycles_tick(void)
{
    return ++overflows;
}

void tt_cycles_start(void)
{
    TT_REGISTER(SYST_CVR) = 0; /* any value: it is loaded anew */
    (void)tt_wait(SYST_CVR, 0x800000u, 0x800000u);
    overflows = 0;
    first_tick = TT_REGISTER(SYST_CVR);
    if (counter == TT_COUNTER_DWT) {
        first_cycle = TT_REGISTER(DWT_CYCCNT);
    }
}

uint64_t tt_cycles_stop(void)
{
    uint32_t cycle = counter == TT_COUNTER_DWT ? TT_REGISTER(DWT_CYCCNT) : 0;
    uint32_t before, tick;
    do { /* an overflow between the two reads shows in their order */
        before = overflows;
        tick = TT_REGISTER(SYST_CVR);
    } while (before != overflows);
    uint64_t coarse = ((uint64_t)before << 24) + first_tick - tick;
    if (counter != TT_COUNTER_DWT) {
        return coarse;
    }
    int32_t apart = (int32_t)(cycle - first_cycle - (uint32_t)coarse);
    return coarse + (uint64_t)(int64_t)apart;
}
