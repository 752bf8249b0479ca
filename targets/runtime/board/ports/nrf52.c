/* SPDX-License-Identifier: Apache-2.0
 *
 * nRF52832 and nRF52840 at 64 MHz with the UART without DMA. Its pins go by the chip:
 *
 *   nRF52840   TX P1.03, RX P1.10   the header pins TX and RX of the Arduino Nano 33 BLE
 *   nRF52832   TX P0.20, RX P0.09   those of the Nicla Sense ME; P0.09 is one of the pins that are
 *                                   for NFC unless UICR.NFCPINS says otherwise
 *
 * nRF52832 and nRF52840 Product Specifications. Compiled, never run on the board.
 */
#include "../port.h"

#define CLOCK_HFCLKSTART 0x40000000u
#define CLOCK_HFCLKSTARTED 0x40000100u
#define UART 0x40002000u
#define STARTRX (UART + 0x000u)
#define STARTTX (UART + 0x008u)
#define RXDRDY (UART + 0x108u)
#define TXDRDY (UART + 0x11Cu)
#define ERRORSRC (UART + 0x480u)
#define ENABLE (UART + 0x500u)
#define PSELTXD (UART + 0x50Cu)
#define PSELRXD (UART + 0x514u)
#define RXD (UART + 0x518u)
#define TXD (UART + 0x51Cu)
#define BAUDRATE (UART + 0x524u)
#define ICACHECNF 0x4001E540u
#define PART 0x10000100u
#define CORE_HZ 64000000u

const char tt_port_name[] = "nrf52";
const uint8_t tt_port_simulated = 0;
static uint8_t sent; /* whether a byte is on its way */

static void pins(uint32_t tx, uint32_t rx)
{
    uintptr_t tx_port = 0x50000000u + (tx >= 32u ? 0x300u : 0u);
    uintptr_t rx_port = 0x50000000u + (rx >= 32u ? 0x300u : 0u);
    TT_REGISTER(tx_port + 0x508u) = 1u << (tx & 31u);           /* OUTSET: idle is high */
    TT_REGISTER(tx_port + 0x700u + 4u * (tx & 31u)) = 3u;       /* output */
    TT_REGISTER(rx_port + 0x700u + 4u * (rx & 31u)) = 3u << 2;  /* input, pulled up */
    TT_REGISTER(PSELTXD) = tx;
    TT_REGISTER(PSELRXD) = rx;
}

struct tt_port_report tt_port_init(uint32_t clock_hz, uint32_t baud)
{
    uint8_t status = clock_hz == CORE_HZ ? TT_PORT_OK : TT_PORT_CLOCK;
    TT_REGISTER(CLOCK_HFCLKSTART) = 1; /* the crystal, for a baud rate that is right */
    if (!tt_wait(CLOCK_HFCLKSTARTED, 1u, 1u)) {
        status = TT_PORT_OSCILLATOR;
    }
    TT_REGISTER(ICACHECNF) |= 1u;
    TT_REGISTER(ENABLE) = 0;
    if (TT_REGISTER(PART) == 0x52840u) {
        pins(32u + 3u, 32u + 10u);
    } else {
        pins(20u, 9u);
    }
    /* 2^32 * baud / 16 MHz, of which the hardware takes the upper bits */
    uint64_t rate = ((uint64_t)baud << 32) / 16000000u;
    TT_REGISTER(BAUDRATE) = ((uint32_t)rate + 0x800u) & 0xFFFFF000u;
    TT_REGISTER(ENABLE) = 4u;
    TT_REGISTER(RXDRDY) = 0;
    TT_REGISTER(TXDRDY) = 0;
    TT_REGISTER(STARTRX) = 1;
    TT_REGISTER(STARTTX) = 1;
    return (struct tt_port_report){CORE_HZ, status};
}

int tt_port_getc(void)
{
    if (TT_REGISTER(RXDRDY) == 0) {
        return -1;
    }
    TT_REGISTER(RXDRDY) = 0; /* before RXD is read, which may bring up the next */
    TT_REGISTER(ERRORSRC) = 15u;
    return (int)(TT_REGISTER(RXD) & 255u);
}

static int idle(void)
{
    return !sent || tt_wait(TXDRDY, 1u, 1u);
}

int tt_port_putc(uint8_t byte)
{
    if (!idle()) {
        return -1;
    }
    TT_REGISTER(TXDRDY) = 0;
    TT_REGISTER(TXD) = byte;
    sent = 1;
    return 0;
}

void tt_port_flush(void)
{
    (void)idle();
}
