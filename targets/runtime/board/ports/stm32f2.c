/* SPDX-License-Identifier: Apache-2.0
 *
 * STM32 F2 with USART3 on PD8 and PD9, which a Nucleo-144 leads to the serial port of its ST-LINK.
 * ST RM0033; UM1974. Compiled, never run on the board.
 */
#define UART 0x40004800u
#define STM32_OLD_USART
#define STM32_F2
#include "stm32_f2_f4_f7.h"

#define GPIOD 0x40020C00u

const char tt_port_name[] = "stm32f2";
const uint8_t tt_port_simulated = 0;

struct tt_port_report tt_port_init(uint32_t clock_hz, uint32_t baud)
{
    uint8_t status = clock_hz > 120u * MHZ ? TT_PORT_CLOCK : stm32_clock(clock_hz, 2, 7u << 8);
    TT_REGISTER(RCC_AHB1ENR) |= 1u << 3;
    TT_REGISTER(RCC_APB1ENR) |= 1u << 18;
    (void)TT_REGISTER(RCC_APB1ENR);
    stm32_pin(GPIOD, 8, 7);
    stm32_pin(GPIOD, 9, 7);
    int ok = status == TT_PORT_OK;
    stm32_usart(ok ? clock_hz / 4u : HSI_HZ, baud);
    return (struct tt_port_report){ok ? clock_hz : HSI_HZ, status};
}
