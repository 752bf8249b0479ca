/* SPDX-License-Identifier: Apache-2.0
 *
 * What the STM32 families share: pins, and the two generations of the USART. A port defines UART,
 * its base address, and includes this file.
 */
#ifndef TT_STM32_H
#define TT_STM32_H

#include "../port.h"

/* Pin ``number`` of the GPIO at ``gpio`` to its alternate function, pulled up, fast. */
static inline void stm32_pin(uintptr_t gpio, uint32_t number, uint32_t function)
{
    uint32_t two = 2u * number, four = 4u * (number & 7u);
    tt_change(gpio + 0x08u, 3u << two, 2u << two);                                  /* OSPEEDR */
    tt_change(gpio + 0x0Cu, 3u << two, 1u << two);                                  /* PUPDR */
    tt_change(gpio + 0x20u + 4u * (number / 8u), 15u << four, function << four);    /* AFR */
    tt_change(gpio, 3u << two, 2u << two);                                          /* MODER */
}

#if defined(STM32_OLD_USART) /* F2, F4: one status and one data register */

#define USART_SR (UART + 0x00u) /* 3 ORE, 5 RXNE, 6 TC, 7 TXE */
#define USART_DR (UART + 0x04u) /* reading it after SR clears ORE */

static inline void stm32_usart(uint32_t kernel_hz, uint32_t baud)
{
    TT_REGISTER(UART + 0x08u) = (kernel_hz + baud / 2u) / baud;             /* BRR */
    TT_REGISTER(UART + 0x0Cu) = (1u << 13) | (1u << 3) | (1u << 2);         /* CR1: UE, TE, RE */
}

int tt_port_getc(void)
{
    uint32_t status = TT_REGISTER(USART_SR);
    if ((status & ((1u << 5) | (1u << 3))) == 0) {
        return -1;
    }
    uint32_t byte = TT_REGISTER(USART_DR) & 255u;
    return status & (1u << 5) ? (int)byte : -1;
}

#else /* ISR, ICR, RDR, TDR */

#define USART_SR (UART + 0x1Cu) /* 0 PE, 1 FE, 2 NE, 3 ORE, 5 RXNE, 6 TC, 7 TXE */
#define USART_DR (UART + 0x28u)

/* ``factor`` is 1, for the LPUART 256. */
static inline void stm32_usart(uint32_t kernel_hz, uint32_t baud, uint32_t factor)
{
    uint64_t scaled = (uint64_t)kernel_hz * factor + baud / 2u;
    TT_REGISTER(UART) = 0;
    TT_REGISTER(UART + 0x0Cu) = (uint32_t)(scaled / baud);                  /* BRR */
    TT_REGISTER(UART) = (1u << 3) | (1u << 2) | 1u;                         /* CR1: TE, RE, UE */
}

int tt_port_getc(void)
{
    uint32_t status = TT_REGISTER(USART_SR);
    TT_REGISTER(UART + 0x20u) = status & 15u; /* an overrun would stop the receiver */
    return status & (1u << 5) ? (int)(TT_REGISTER(UART + 0x24u) & 255u) : -1;
}

#endif

int tt_port_putc(uint8_t byte)
{
    if (!tt_wait(USART_SR, 1u << 7, 1u << 7)) {
        return -1;
    }
    TT_REGISTER(USART_DR) = byte;
    return 0;
}

void tt_port_flush(void)
{
    (void)tt_wait(USART_SR, 1u << 6, 1u << 6);
}

#endif
