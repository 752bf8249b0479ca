/* SPDX-License-Identifier: Apache-2.0
 *
 * What a port of the harness is: the clock and one UART of a chip, without interrupts. No function
 * waits without end: registers are polled TT_POLLS times at most.
 */
#ifndef TT_PORT_H
#define TT_PORT_H

#include <stdint.h>

#define TT_POLLS 200000u /* some ms at 480 MHz, a tenth of a second at 16 */

enum {
    TT_PORT_OK = 0,
    TT_PORT_OSCILLATOR = 1, /* did not become ready */
    TT_PORT_PLL = 2,        /* did not lock */
    TT_PORT_POWER = 3,      /* the voltage that the clock needs did not become ready */
    TT_PORT_CLOCK = 4,      /* the port has no setting for the clock of the board file */
    TT_PORT_FLASH = 5,      /* the wait states were not taken */
    TT_PORT_SWITCH = 6,     /* the core stayed on its reset clock */
    TT_PORT_VECTORS = 7     /* (harness) the core has no vector table register */
};

/* clock_hz is what the core runs at, even where the wanted clock could not be set. */
struct tt_port_report {
    uint32_t clock_hz;
    uint8_t status;
};

extern const char tt_port_name[];
/* 1 where time means nothing: the port of an emulated machine. */
extern const uint8_t tt_port_simulated;

/* The clock of the board file, and the UART at ``baud``. The UART must work at any clock. */
struct tt_port_report tt_port_init(uint32_t clock_hz, uint32_t baud);
/* A byte that has come, or -1. Clears an overrun. */
int tt_port_getc(void);
/* 0, or -1 where the UART does not take the byte. Returns before the byte is on the line. */
int tt_port_putc(uint8_t byte);
/* Until the last byte is on the line. */
void tt_port_flush(void);

#define TT_REGISTER(address) (*(volatile uint32_t *)(address))

/* 1 once ``mask`` of the register has ``value``. */
static inline int tt_wait(uintptr_t address, uint32_t mask, uint32_t value)
{
    for (uint32_t i = 0; i < TT_POLLS; ++i) {
        if ((TT_REGISTER(address) & mask) == value) {
            return 1;
        }
    }
    return 0;
}

static inline void tt_change(uintptr_t address, uint32_t clear, uint32_t set)
{
    TT_REGISTER(address) = (TT_REGISTER(address) & ~clear) | set;
}

#endif
