/* SPDX-License-Identifier: Apache-2.0
 *
 * The UART of Arm's CMSDK, as QEMU's MPS2 and MPS3 machines have it. Time means nothing there.
 */
#include "../port.h"

#if defined(__ARM_FEATURE_MVE)
#define UART 0x59303000u /* mps3-an547, secure */
#define MACHINE_HZ 32000000u
#elif defined(__ARM_ARCH_8M_MAIN__)
#define UART 0x50200000u /* mps2-an505, secure */
#define MACHINE_HZ 20000000u
#else
#define UART 0x40004000u /* mps2-an385, an386, an500 */
#define MACHINE_HZ 25000000u
#endif
#define DATA (UART + 0x0u)
#define STATE (UART + 0x4u) /* 1: transmitter full, 2: a byte has come, 8: overrun */
#define CTRL (UART + 0x8u)
#define BAUDDIV (UART + 0x10u)

const char tt_port_name[] = "cmsdk";
const uint8_t tt_port_simulated = 1;

struct tt_port_report tt_port_init(uint32_t clock_hz, uint32_t baud)
{
    (void)clock_hz;
    TT_REGISTER(BAUDDIV) = MACHINE_HZ / baud < 16u ? 16u : MACHINE_HZ / baud;
    TT_REGISTER(CTRL) = 3;
    return (struct tt_port_report){MACHINE_HZ, TT_PORT_OK};
}

int tt_port_getc(void)
{
    uint32_t state = TT_REGISTER(STATE);
    if (state & 8u) {
        TT_REGISTER(STATE) = 8u;
    }
    return state & 2u ? (int)(TT_REGISTER(DATA) & 255u) : -1;
}

int tt_port_putc(uint8_t byte)
{
    if (!tt_wait(STATE, 1u, 0)) {
        return -1;
    }
    TT_REGISTER(DATA) = byte;
    return 0;
}

void tt_port_flush(void)
{
    (void)tt_wait(STATE, 1u, 0);
}
