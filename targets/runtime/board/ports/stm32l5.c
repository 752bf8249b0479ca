/* SPDX-License-Identifier: Apache-2.0
 *
 * STM32 L5 with LPUART1 on PG7 and PG8, which a Nucleo-144 leads to the serial port of its ST-LINK.
 * ST RM0438; UM2581. The instruction cache is on. Compiled, never run on the board.
 */
#include "stm32_l4_l5.h"

#define ICACHE_CR 0x40030400u
#define ICACHE_SR 0x40030404u

const char tt_port_name[] = "stm32l5";
const uint8_t tt_port_simulated = 0;

struct tt_port_report tt_port_init(uint32_t clock_hz, uint32_t baud)
{
    uint8_t status = TT_PORT_CLOCK;
    TT_REGISTER(RCC_APB1ENR1) |= 1u << 28; /* PWREN */
    (void)TT_REGISTER(RCC_APB1ENR1);
    if (clock_hz % (2u * MHZ) == 0 && clock_hz >= 32u * MHZ && clock_hz <= 110u * MHZ) {
        status = stm32_clock(clock_hz, 0, 0); /* range 0 */
    }
    if (status == TT_PORT_OK) {
        /* it is invalidated after a reset before it can be switched on */
        status = tt_wait(ICACHE_SR, 1u, 0) ? TT_PORT_OK : TT_PORT_FLASH;
        TT_REGISTER(ICACHE_CR) |= 1u;
    }
    return stm32_start(status, 0x42021800u, clock_hz, baud);
}
