/* SPDX-License-Identifier: Apache-2.0
 *
 * STM32 G0 at 64 MHz with USART2 on PA2 and PA3, which a Nucleo-64 leads to the serial port of its
 * ST-LINK. ST RM0444; UM2324. Compiled, never run on the board.
 */
#define UART 0x40004400u
#include "stm32.h"

#define RCC 0x40021000u
#define RCC_CR (RCC + 0x00u)
#define RCC_CFGR (RCC + 0x08u)
#define RCC_PLLCFGR (RCC + 0x0Cu)
#define RCC_IOPENR (RCC + 0x34u)
#define RCC_APBENR1 (RCC + 0x3Cu)
#define FLASH_ACR 0x40022000u
#define GPIOA 0x50000000u
#define HSI_HZ 16000000u

const char tt_port_name[] = "stm32g0";
const uint8_t tt_port_simulated = 0;

static uint8_t clock_64_mhz(void)
{
    tt_change(FLASH_ACR, 7u, 2u | 1u << 8 | 1u << 9); /* two waits, prefetch, cache */
    if (!tt_wait(FLASH_ACR, 7u, 2u)) {
        return TT_PORT_FLASH;
    }
    /* 16 MHz * 8 / 2; source 2 is the internal oscillator */
    TT_REGISTER(RCC_PLLCFGR) = 2u | 8u << 8 | 1u << 28 | 1u << 29;
    TT_REGISTER(RCC_CR) |= 1u << 24;
    if (!tt_wait(RCC_CR, 1u << 25, 1u << 25)) {
        return TT_PORT_PLL;
    }
    tt_change(RCC_CFGR, 7u, 2u);
    return tt_wait(RCC_CFGR, 7u << 3, 2u << 3) ? TT_PORT_OK : TT_PORT_SWITCH;
}

struct tt_port_report tt_port_init(uint32_t clock_hz, uint32_t baud)
{
    uint8_t status = clock_hz == 64000000u ? clock_64_mhz() : TT_PORT_CLOCK;
    uint32_t hz = status == TT_PORT_OK ? clock_hz : HSI_HZ;
    TT_REGISTER(RCC_IOPENR) |= 1u;
    TT_REGISTER(RCC_APBENR1) |= 1u << 17;
    (void)TT_REGISTER(RCC_APBENR1);
    stm32_pin(GPIOA, 2, 1);
    stm32_pin(GPIOA, 3, 1);
    stm32_usart(hz, baud, 1);
    return (struct tt_port_report){hz, status};
}
