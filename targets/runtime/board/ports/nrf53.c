/* SPDX-License-Identifier: Apache-2.0
 *
 * The application core of the nRF5340 at 128 MHz with UARTE0 on P0.20 and P0.22, which the nRF5340
 * DK leads to the first serial port of its debugger. nRF5340 Product Specification; everything is
 * secure, as after a reset. The cache is on. Compiled, never run on the board.
 */
#include "../port.h"

#define CLOCK_HFCLKSTART 0x50005000u
#define CLOCK_HFCLKSTARTED 0x50005100u
#define CLOCK_HFCLKCTRL 0x50005558u /* 0: not halved */
#define CACHE_ENABLE 0x50001500u
#define UART 0x50008000u
#define STARTRX (UART + 0x000u)
#define STARTTX (UART + 0x008u)
#define RXDRDY (UART + 0x108u)
#define ENDRX (UART + 0x110u)
#define ENDTX (UART + 0x120u)
#define SHORTS (UART + 0x200u) /* 5: ENDRX starts the next */
#define ERRORSRC (UART + 0x480u)
#define ENABLE (UART + 0x500u)
#define PSELTXD (UART + 0x50Cu)
#define PSELRXD (UART + 0x514u)
#define BAUDRATE (UART + 0x524u)
#define RXD_PTR (UART + 0x534u)
#define RXD_MAXCNT (UART + 0x538u)
#define TXD_PTR (UART + 0x544u)
#define TXD_MAXCNT (UART + 0x548u)
#define P0 0x50842500u
#define CORE_HZ 128000000u
#define RESET_HZ 64000000u

const char tt_port_name[] = "nrf53";
const uint8_t tt_port_simulated = 0;
static volatile uint8_t coming, going; /* DMA reads and writes RAM only */
static uint8_t sent;

struct tt_port_report tt_port_init(uint32_t clock_hz, uint32_t baud)
{
    uint8_t status = clock_hz == CORE_HZ ? TT_PORT_OK : TT_PORT_CLOCK;
    TT_REGISTER(CLOCK_HFCLKCTRL) = 0;
    if ((TT_REGISTER(CLOCK_HFCLKCTRL) & 1u) != 0) {
        status = TT_PORT_SWITCH;
    }
    TT_REGISTER(CLOCK_HFCLKSTART) = 1;
    if (!tt_wait(CLOCK_HFCLKSTARTED, 1u, 1u)) {
        status = TT_PORT_OSCILLATOR;
    }
    TT_REGISTER(CACHE_ENABLE) = 1;
    TT_REGISTER(ENABLE) = 0;
    TT_REGISTER(P0 + 0x008u) = 1u << 20;                /* OUTSET: idle is high */
    TT_REGISTER(P0 + 0x200u + 4u * 20u) = 3u;           /* output */
    TT_REGISTER(P0 + 0x200u + 4u * 22u) = 3u << 2;      /* input, pulled up */
    TT_REGISTER(PSELTXD) = 20u;
    TT_REGISTER(PSELRXD) = 22u;
    uint64_t rate = ((uint64_t)baud << 32) / 16000000u;
    /* the value that the specification gives for 115200 is a little slower */
    TT_REGISTER(BAUDRATE) =
        baud == 115200u ? 0x01D60000u : ((uint32_t)rate + 0x800u) & 0xFFFFF000u;
    TT_REGISTER(RXD_PTR) = (uint32_t)(uintptr_t)&coming;
    TT_REGISTER(RXD_MAXCNT) = 1;
    TT_REGISTER(TXD_PTR) = (uint32_t)(uintptr_t)&going;
    TT_REGISTER(TXD_MAXCNT) = 1;
    TT_REGISTER(SHORTS) = 1u << 5;
    TT_REGISTER(ENABLE) = 8u;
    TT_REGISTER(ENDRX) = 0;
    TT_REGISTER(STARTRX) = 1;
    return (struct tt_port_report){
        TT_REGISTER(CLOCK_HFCLKCTRL) & 1u ? RESET_HZ : CORE_HZ, status};
}

int tt_port_getc(void)
{
    if (TT_REGISTER(ENDRX) == 0) {
        return -1;
    }
    uint8_t byte = coming;
    TT_REGISTER(ENDRX) = 0;
    TT_REGISTER(ERRORSRC) = 15u;
    return byte;
}

static int idle(void)
{
    return !sent || tt_wait(ENDTX, 1u, 1u);
}

int tt_port_putc(uint8_t byte)
{
    if (!idle()) {
        return -1;
    }
    going = byte;
    TT_REGISTER(ENDTX) = 0;
    TT_REGISTER(STARTTX) = 1;
    sent = 1;
    return 0;
}

void tt_port_flush(void)
{
    (void)idle();
}
