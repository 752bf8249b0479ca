/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TT_CYCLES_H
#define TT_CYCLES_H

#include <stdint.h>

enum { TT_COUNTER_DWT = 1, TT_COUNTER_SYSTICK = 2 };

/* The counter there is. ``interrupt``: tt_cycles_tick is the handler of SysTick. */
uint8_t tt_cycles_init(int interrupt);
void tt_cycles_start(void);
uint64_t tt_cycles_stop(void);
/* From the SysTick exception: the number of overflows since the start. */
uint32_t tt_cycles_tick(void);

#endif
