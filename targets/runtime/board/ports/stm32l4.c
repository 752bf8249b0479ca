/* SPDX-License-Identifier: Apache-2.0
 *
 * STM32 L4+ (L4R5, L4S5) with LPUART1 on PG7 and PG8, which a Nucleo-144 leads to the serial port
 * of its ST-LINK. ST RM0432; UM2179. Compiled, never run on the board.
 */
#include "stm32_l4_l5.h"

#define PWR_CR5 (PWR + 0x80u) /* 8: no boost */

const char tt_port_name[] = "stm32l4";
const uint8_t tt_port_simulated = 0;

struct tt_port_report tt_port_init(uint32_t clock_hz, uint32_t baud)
{
    uint8_t status = TT_PORT_CLOCK;
    TT_REGISTER(RCC_APB1ENR1) |= 1u << 28; /* PWREN */
    (void)TT_REGISTER(RCC_APB1ENR1);
    if (clock_hz % (2u * MHZ) == 0 && clock_hz >= 32u * MHZ && clock_hz <= 120u * MHZ) {
        TT_REGISTER(PWR_CR5) &= ~(1u << 8);
        /* range 1; prefetch, instruction and data cache */
        status = stm32_clock(clock_hz, 1, 7u << 8);
    }
    return stm32_start(status, 0x48001800u, clock_hz, baud);
}
