/* SPDX-License-Identifier: Apache-2.0
 *
 * RP2040 with a crystal of 12 MHz at 63 to 133 MHz, whole ones, with UART0 on GPIO 0 (TX) and 1
 * (RX), the pins 1 and 2 of a Raspberry Pi Pico. The UART runs from the crystal, so that it works
 * at any clock of the core. The flash is read as the boot stage has set it up, through the cache.
 * RP2040 datasheet: 2.14 (resets), 2.15 (clocks), 2.16 (crystal), 2.18 (PLL), 2.19 (GPIO), 4.2
 * (UART). Compiled, never run on the board.
 */
#include "../port.h"

#define CLOCKS 0x40008000u
#define CLK_REF_CTRL (CLOCKS + 0x30u)
#define CLK_REF_SELECTED (CLOCKS + 0x38u)
#define CLK_SYS_CTRL (CLOCKS + 0x3Cu)
#define CLK_SYS_SELECTED (CLOCKS + 0x44u)
#define CLK_PERI_CTRL (CLOCKS + 0x48u)
#define RESETS 0x4000C000u
#define RESET_DONE (RESETS + 0x08u)
#define IO_BANK0 (1u << 5)
#define PADS_BANK0 (1u << 8)
#define PLL_SYS (1u << 12)
#define UART0 (1u << 22)
#define GPIO0_CTRL 0x40014004u
#define GPIO1_CTRL 0x4001400Cu
#define PAD0 0x4001C004u
#define PAD1 0x4001C008u
#define XOSC_CTRL 0x40024000u
#define XOSC_STATUS 0x40024004u
#define XOSC_STARTUP 0x4002400Cu
#define PLL_CS 0x40028000u
#define PLL_PWR 0x40028004u /* 0: all off, 3: the output dividers off, 5: the oscillator off */
#define PLL_FBDIV 0x40028008u
#define PLL_PRIM 0x4002800Cu
#define UART 0x40034000u
#define UARTDR (UART + 0x00u)
#define UARTFR (UART + 0x18u) /* 3: busy, 4: nothing received, 5: no room to send */
#define UARTIBRD (UART + 0x24u)
#define UARTFBRD (UART + 0x28u)
#define UARTLCR_H (UART + 0x2Cu)
#define UARTCR (UART + 0x30u)
#define CRYSTAL_HZ 12000000u
#define RING_HZ 6500000u /* about, by the datasheet: it may be half or twice that */
#define MHZ 1000000u

const char tt_port_name[] = "rp2040";
const uint8_t tt_port_simulated = 0;

static int reset(uint32_t blocks)
{
    TT_REGISTER(RESETS) |= blocks;
    TT_REGISTER(RESETS) &= ~blocks;
    return tt_wait(RESET_DONE, blocks, blocks);
}

static uint8_t crystal(void)
{
    TT_REGISTER(XOSC_STARTUP) = 752u; /* 16 ms, in units of 256 periods */
    TT_REGISTER(XOSC_CTRL) = 0xFABu << 12 | 0xAA0u; /* on, 1 to 15 MHz */
    if (!tt_wait(XOSC_STATUS, 1u << 31, 1u << 31)) {
        return TT_PORT_OSCILLATOR;
    }
    tt_change(CLK_REF_CTRL, 3u, 2u);
    return tt_wait(CLK_REF_SELECTED, 7u, 1u << 2) ? TT_PORT_OK : TT_PORT_SWITCH;
}

static uint8_t pll(uint32_t clock_hz)
{
    /* 12 MHz * n / 6 / 2 = n MHz; the oscillator in between has to be at 750 to 1600 MHz */
    if (clock_hz % MHZ != 0 || clock_hz < 63u * MHZ || clock_hz > 133u * MHZ) {
        return TT_PORT_CLOCK;
    }
    if (!reset(PLL_SYS)) {
        return TT_PORT_PLL;
    }
    TT_REGISTER(PLL_CS) = 1u;
    TT_REGISTER(PLL_FBDIV) = clock_hz / MHZ;
    TT_REGISTER(PLL_PWR) &= ~(1u << 0 | 1u << 5);
    if (!tt_wait(PLL_CS, 1u << 31, 1u << 31)) {
        return TT_PORT_PLL;
    }
    TT_REGISTER(PLL_PRIM) = 6u << 16 | 2u << 12;
    TT_REGISTER(PLL_PWR) &= ~(1u << 3);
    tt_change(CLK_SYS_CTRL, 7u << 5, 0); /* the other source is this PLL ... */
    tt_change(CLK_SYS_CTRL, 1u, 1u);     /* ... and the one to take */
    return tt_wait(CLK_SYS_SELECTED, 3u, 1u << 1) ? TT_PORT_OK : TT_PORT_SWITCH;
}

static void uart(uint32_t kernel_hz, uint32_t baud)
{
    uint32_t divisor = (4u * kernel_hz + baud / 2u) / baud; /* in units of 1/64 */
    TT_REGISTER(GPIO0_CTRL) = 2u;
    TT_REGISTER(GPIO1_CTRL) = 2u;
    TT_REGISTER(PAD0) = 1u << 6 | 1u << 4 | 1u << 1;
    TT_REGISTER(PAD1) = 1u << 6 | 1u << 4 | 1u << 1 | 1u << 3; /* readable, pulled up */
    TT_REGISTER(UARTCR) = 0;
    TT_REGISTER(UARTIBRD) = divisor >> 6;
    TT_REGISTER(UARTFBRD) = divisor & 63u;
    TT_REGISTER(UARTLCR_H) = 3u << 5 | 1u << 4; /* 8 bits, queues on; it also takes the divisor */
    TT_REGISTER(UARTCR) = 1u << 9 | 1u << 8 | 1u;
}

struct tt_port_report tt_port_init(uint32_t clock_hz, uint32_t baud)
{
    /* After a reset of the core alone the clocks are still as they were. */
    tt_change(CLK_SYS_CTRL, 1u, 0);
    uint8_t status = tt_wait(CLK_SYS_SELECTED, 3u, 1u) ? crystal() : TT_PORT_SWITCH;
    int has_crystal = status == TT_PORT_OK;
    uint32_t hz = has_crystal ? CRYSTAL_HZ : RING_HZ;
    TT_REGISTER(CLK_PERI_CTRL) = 0;
    TT_REGISTER(CLK_PERI_CTRL) = 1u << 11 | (has_crystal ? 4u << 5 : 0); /* on; else the core's */
    if (has_crystal) {
        status = pll(clock_hz);
    }
    if (!reset(IO_BANK0 | PADS_BANK0 | UART0) && status == TT_PORT_OK) {
        status = TT_PORT_POWER;
    }
    uart(has_crystal ? CRYSTAL_HZ : RING_HZ, baud);
    return (struct tt_port_report){status == TT_PORT_OK ? clock_hz : hz, status};
}

int tt_port_getc(void)
{
    return TT_REGISTER(UARTFR) & (1u << 4) ? -1 : (int)(TT_REGISTER(UARTDR) & 255u);
}

int tt_port_putc(uint8_t byte)
{
    if (!tt_wait(UARTFR, 1u << 5, 0)) {
        return -1;
    }
    TT_REGISTER(UARTDR) = byte;
    return 0;
}

void tt_port_flush(void)
{
    (void)tt_wait(UARTFR, 1u << 3, 0);
}
