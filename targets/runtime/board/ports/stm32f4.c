/* SPDX-License-Identifier: Apache-2.0
 *
 * STM32 F4 with USART2 on PA2 and PA3, which a Nucleo-64 leads to the serial port of its ST-LINK.
 * ST RM0390, RM0090; UM1724. Compiled, never run on the board; QEMU has the USART alone.
 */
#define UART 0x40004400u
#define STM32_OLD_USART
#include "stm32_f2_f4_f7.h"

#define GPIOA 0x40020000u

const char tt_port_name[] = "stm32f4";
const uint8_t tt_port_simulated = 0;

struct tt_port_report tt_port_init(uint32_t clock_hz, uint32_t baud)
{
    uint32_t log2_apb1 = clock_hz > 100u * MHZ ? 2u : 1u; /* at most 50, 42 or 45 MHz */
    /* prefetch, instruction and data cache */
    uint8_t status = stm32_clock(clock_hz, log2_apb1, 7u << 8);
    TT_REGISTER(RCC_AHB1ENR) |= 1u;
    TT_REGISTER(RCC_APB1ENR) |= 1u << 17;
    (void)TT_REGISTER(RCC_APB1ENR); /* the clock takes two cycles */
    stm32_pin(GPIOA, 2, 7);
    stm32_pin(GPIOA, 3, 7);
    int ok = status == TT_PORT_OK;
    stm32_usart(ok ? clock_hz >> log2_apb1 : HSI_HZ, baud);
    return (struct tt_port_report){ok ? clock_hz : HSI_HZ, status};
}
