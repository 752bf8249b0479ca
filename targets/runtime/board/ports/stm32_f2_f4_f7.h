/* SPDX-License-Identifier: Apache-2.0
 *
 * The clock of STM32 F2, F4 and F7: 16 MHz from the internal oscillator, halved eight times to 2,
 * through the PLL. ST RM0033 (F2), RM0090 and RM0390 (F4), RM0385 (F7). For 2.7 to 3.6 V.
 *
 *   F401 84, F411 100, F207 120, F405/F407 168, F429/F446 180, F746 216 MHz
 */
#ifndef TT_STM32_F2_F4_F7_H
#define TT_STM32_F2_F4_F7_H

#include "stm32.h"

#define RCC 0x40023800u
#define RCC_CR (RCC + 0x00u)
#define RCC_PLLCFGR (RCC + 0x04u)
#define RCC_CFGR (RCC + 0x08u)
#define RCC_AHB1ENR (RCC + 0x30u)
#define RCC_APB1ENR (RCC + 0x40u)
#define RCC_APB2ENR (RCC + 0x44u)
#define FLASH_ACR 0x40023C00u
#define PWR_CR 0x40007000u
#define PWR_CSR 0x40007004u
#define HSI_HZ 16000000u
#define MHZ 1000000u

/* Divider of APB1 whose exponent is ``log2_apb1``; APB2 is the half. The failure, or OK. */
static uint8_t stm32_clock(uint32_t hz, uint32_t log2_apb1, uint32_t flash_bits)
{
    if (hz % (2u * MHZ) != 0 || hz < 84u * MHZ || hz > 216u * MHZ) {
        return TT_PORT_CLOCK;
    }
    TT_REGISTER(RCC_APB1ENR) |= 1u << 28; /* PWREN */
    (void)TT_REGISTER(RCC_APB1ENR);
#if !defined(STM32_F2)
    if (hz > 84u * MHZ) {
        TT_REGISTER(PWR_CR) |= 3u << 14; /* voltage scale 1 */
    }
#endif
    uint32_t waits = (hz - 1u) / (30u * MHZ);
    tt_change(FLASH_ACR, 15u, waits | flash_bits);
    if (!tt_wait(FLASH_ACR, 15u, waits)) {
        return TT_PORT_FLASH;
    }
    /* 2 MHz * N / P, the oscillator of the PLL at 192 MHz or more */
    uint32_t quarter = hz < 96u * MHZ;
    uint32_t n = hz / MHZ * (quarter ? 2u : 1u);
    tt_change(RCC_PLLCFGR, 0x0F437FFFu, 8u | n << 6 | quarter << 16 | 9u << 24);
    TT_REGISTER(RCC_CR) |= 1u << 24;
    if (!tt_wait(RCC_CR, 1u << 25, 1u << 25)) {
        return TT_PORT_PLL;
    }
#if !defined(STM32_F2)
    if (hz > 168u * MHZ) { /* over-drive */
        TT_REGISTER(PWR_CR) |= 1u << 16;
        if (!tt_wait(PWR_CSR, 1u << 16, 1u << 16)) {
            return TT_PORT_POWER;
        }
        TT_REGISTER(PWR_CR) |= 1u << 17;
        if (!tt_wait(PWR_CSR, 1u << 17, 1u << 17)) {
            return TT_PORT_POWER;
        }
    }
#endif
    /* PPRE: 4 halves, 5 quarters */
    tt_change(RCC_CFGR, 0xFCF0u, (3u + log2_apb1) << 10 | 4u << 13);
    tt_change(RCC_CFGR, 3u, 2u); /* the PLL */
    return tt_wait(RCC_CFGR, 12u, 8u) ? TT_PORT_OK : TT_PORT_SWITCH;
}

#endif
