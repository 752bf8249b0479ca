/* SPDX-License-Identifier: Apache-2.0
 *
 * STM32 H743 of revision V at 480 MHz with USART3 on PD8 and PD9, which a Nucleo-144 leads to the
 * serial port of its ST-LINK. ST RM0433; UM1974. For boards that supply the core from the linear
 * regulator: chips with a step-down converter (H745, H747, H7A3) need another port. Both caches are
 * on. Compiled, never run on the board.
 */
#define UART 0x40004800u
#include "m7_caches.h"
#include "stm32.h"

#define RCC 0x58024400u
#define RCC_CR (RCC + 0x00u)
#define RCC_CFGR (RCC + 0x10u)
#define RCC_D1CFGR (RCC + 0x18u)
#define RCC_D2CFGR (RCC + 0x1Cu)
#define RCC_D3CFGR (RCC + 0x20u)
#define RCC_PLLCKSELR (RCC + 0x28u)
#define RCC_PLLCFGR (RCC + 0x2Cu)
#define RCC_PLL1DIVR (RCC + 0x30u)
#define RCC_AHB4ENR (RCC + 0xE0u)
#define RCC_APB1LENR (RCC + 0xE8u)
#define RCC_APB4ENR (RCC + 0xF4u)
#define PWR_CSR1 0x58024804u /* 13: the voltage is there */
#define PWR_CR3 0x5802480Cu
#define PWR_D3CR 0x58024818u /* 13: ready, 14 and 15: voltage scale */
#define SYSCFG_PWRCR 0x5800042Cu
#define FLASH_ACR 0x52002000u
#define IDCODE 0x5C001000u
#define GPIOD 0x58020C00u
#define HSI_HZ 64000000u

const char tt_port_name[] = "stm32h743";
const uint8_t tt_port_simulated = 0;

static uint8_t clock_480_mhz(void)
{
    if ((TT_REGISTER(IDCODE) & 0xFFFu) != 0x450u || TT_REGISTER(IDCODE) >> 16 < 0x2003u) {
        return TT_PORT_CLOCK; /* another chip, or an older revision, which ends at 400 MHz */
    }
    tt_change(PWR_CR3, 7u, 2u); /* the linear regulator; it can be chosen once after power-on */
    if (!tt_wait(PWR_CSR1, 1u << 13, 1u << 13)) {
        return TT_PORT_POWER;
    }
    tt_change(PWR_D3CR, 3u << 14, 3u << 14); /* scale 1, then over-drive on top: scale 0 */
    if (!tt_wait(PWR_D3CR, 1u << 13, 1u << 13)) {
        return TT_PORT_POWER;
    }
    TT_REGISTER(RCC_APB4ENR) |= 1u << 1;
    (void)TT_REGISTER(RCC_APB4ENR);
    TT_REGISTER(SYSCFG_PWRCR) |= 1u;
    if (!tt_wait(PWR_D3CR, 1u << 13, 1u << 13)) {
        return TT_PORT_POWER;
    }
    tt_change(FLASH_ACR, 0x3Fu, 4u | 2u << 4);
    if (!tt_wait(FLASH_ACR, 0x3Fu, 4u | 2u << 4)) {
        return TT_PORT_FLASH;
    }
    /* 64 MHz / 16 * 240 / 2; the wide oscillator, input of 4 to 8 MHz, outputs P and Q */
    tt_change(RCC_PLLCKSELR, 0x3F3u, 16u << 4);
    tt_change(RCC_PLLCFGR, 0x0007000Fu, 2u << 2 | 3u << 16);
    TT_REGISTER(RCC_PLL1DIVR) = 239u | 1u << 9 | 7u << 16 | 1u << 24;
    TT_REGISTER(RCC_CR) |= 1u << 24;
    if (!tt_wait(RCC_CR, 1u << 25, 1u << 25)) {
        return TT_PORT_PLL;
    }
    TT_REGISTER(RCC_D1CFGR) = 8u | 4u << 4; /* buses at a half, peripherals at a quarter */
    TT_REGISTER(RCC_D2CFGR) = 4u << 4 | 4u << 8;
    TT_REGISTER(RCC_D3CFGR) = 4u << 4;
    tt_change(RCC_CFGR, 7u, 3u);
    return tt_wait(RCC_CFGR, 7u << 3, 3u << 3) ? TT_PORT_OK : TT_PORT_SWITCH;
}

struct tt_port_report tt_port_init(uint32_t clock_hz, uint32_t baud)
{
    uint8_t status = clock_hz == 480000000u ? clock_480_mhz() : TT_PORT_CLOCK;
    int ok = status == TT_PORT_OK;
    m7_caches_on();
    TT_REGISTER(RCC_AHB4ENR) |= 1u << 3;
    TT_REGISTER(RCC_APB1LENR) |= 1u << 18;
    (void)TT_REGISTER(RCC_APB1LENR);
    stm32_pin(GPIOD, 8, 7);
    stm32_pin(GPIOD, 9, 7);
    /* APB1: with the failed clock its dividers are those of the reset unless the switch failed */
    uint32_t divided = TT_REGISTER(RCC_D1CFGR) ? 4u : 1u;
    stm32_usart(ok ? clock_hz / 4u : HSI_HZ / divided, baud, 1);
    return (struct tt_port_report){ok ? clock_hz : HSI_HZ, status};
}
