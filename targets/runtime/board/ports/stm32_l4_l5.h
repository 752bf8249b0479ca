/* SPDX-License-Identifier: Apache-2.0
 *
 * STM32 L4+ and L5: 16 MHz from the internal oscillator, quartered, through the PLL, and LPUART1 on
 * PG7 and PG8, whose pins have a supply of their own (VddIO2). ST RM0432 (L4+), RM0438 (L5, with
 * TrustZone off, as delivered).
 */
#ifndef TT_STM32_L4_L5_H
#define TT_STM32_L4_L5_H

#define UART 0x40008000u
#include "stm32.h"

#define RCC 0x40021000u
#define RCC_CR (RCC + 0x00u)
#define RCC_CFGR (RCC + 0x08u)
#define RCC_PLLCFGR (RCC + 0x0Cu)
#define RCC_AHB2ENR (RCC + 0x4Cu)
#define RCC_APB1ENR1 (RCC + 0x58u)
#define RCC_APB1ENR2 (RCC + 0x5Cu)
#define RCC_CCIPR 0x40021088u /* the same in both; 10 and 11: the clock of LPUART1 */
#define PWR 0x40007000u
#define PWR_CR1 (PWR + 0x00u) /* 9 and 10: voltage range */
#define PWR_CR2 (PWR + 0x04u) /* 9: VddIO2 is there */
#define PWR_SR2 (PWR + 0x14u) /* 10: the voltage is still changing */
#define FLASH_ACR 0x40022000u
#define HSI_HZ 16000000u
#define RESET_HZ 4000000u /* the multi-speed oscillator */
#define MHZ 1000000u

/* ``range``: of PWR_CR1. Flash waits one cycle more for each 20 MHz. */
static uint8_t stm32_clock(uint32_t hz, uint32_t range, uint32_t flash_bits)
{
    tt_change(PWR_CR1, 3u << 9, range << 9);
    if (!tt_wait(PWR_SR2, 1u << 10, 0)) {
        return TT_PORT_POWER;
    }
    TT_REGISTER(RCC_CR) |= 1u << 8;
    if (!tt_wait(RCC_CR, 1u << 10, 1u << 10)) {
        return TT_PORT_OSCILLATOR;
    }
    uint32_t waits = (hz - 1u) / (20u * MHZ);
    tt_change(FLASH_ACR, 15u, waits | flash_bits);
    if (!tt_wait(FLASH_ACR, 15u, waits)) {
        return TT_PORT_FLASH;
    }
    /* 16 MHz / 4 * N / 2; source 2 is the internal oscillator */
    TT_REGISTER(RCC_PLLCFGR) = 2u | 3u << 4 | (hz / (2u * MHZ)) << 8 | 1u << 24;
    TT_REGISTER(RCC_CR) |= 1u << 24;
    if (!tt_wait(RCC_CR, 1u << 25, 1u << 25)) {
        return TT_PORT_PLL;
    }
    /* above 80 MHz the step up has to be taken in two */
    tt_change(RCC_CFGR, 0x3FF0u, 8u << 4);
    tt_change(RCC_CFGR, 3u, 3u);
    if (!tt_wait(RCC_CFGR, 12u, 12u)) {
        return TT_PORT_SWITCH;
    }
    for (uint32_t i = 0; i < 200u; ++i) { /* more than a microsecond */
        __asm volatile("nop");
    }
    tt_change(RCC_CFGR, 15u << 4, 0);
    return TT_PORT_OK;
}

static struct tt_port_report stm32_start(
    uint8_t status, uintptr_t gpio, uint32_t clock_hz, uint32_t baud)
{
    int ok = status == TT_PORT_OK;
    TT_REGISTER(PWR_CR2) |= 1u << 9;
    TT_REGISTER(RCC_AHB2ENR) |= 1u << 6;
    TT_REGISTER(RCC_APB1ENR2) |= 1u;
    (void)TT_REGISTER(RCC_APB1ENR2);
    tt_change(RCC_CCIPR, 3u << 10, 0); /* the clock of its bus, which is the core's */
    stm32_pin(gpio, 7, 8);
    stm32_pin(gpio, 8, 8);
    stm32_usart(ok ? clock_hz : RESET_HZ, baud, 256);
    return (struct tt_port_report){ok ? clock_hz : RESET_HZ, status};
}

#endif
