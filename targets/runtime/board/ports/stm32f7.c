/* SPDX-License-Identifier: Apache-2.0
 *
 * STM32 F7 with USART1 on PA9 and PB7, which the F746 Discovery leads to the serial port of its
 * ST-LINK. ST RM0385; UM1907. Both caches are on. Compiled, never run on the board.
 */
#define UART 0x40011000u
#include "m7_caches.h"
#include "stm32_f2_f4_f7.h"

#define GPIOA 0x40020000u
#define GPIOB 0x40020400u

const char tt_port_name[] = "stm32f7";
const uint8_t tt_port_simulated = 0;

struct tt_port_report tt_port_init(uint32_t clock_hz, uint32_t baud)
{
    uint8_t status = stm32_clock(clock_hz, 2, 3u << 8); /* prefetch, ART accelerator */
    m7_caches_on();
    TT_REGISTER(RCC_AHB1ENR) |= 3u;
    TT_REGISTER(RCC_APB2ENR) |= 1u << 4;
    (void)TT_REGISTER(RCC_APB2ENR);
    stm32_pin(GPIOA, 9, 7);
    stm32_pin(GPIOB, 7, 7);
    int ok = status == TT_PORT_OK;
    stm32_usart(ok ? clock_hz / 2u : HSI_HZ, baud, 1);
    return (struct tt_port_report){ok ? clock_hz : HSI_HZ, status};
}
