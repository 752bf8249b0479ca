/* SPDX-License-Identifier: Apache-2.0
 *
 * The second stage of the RP2040's start. Its ROM copies the first 256 bytes of the flash to the end
 * of SRAM, runs them if their last four are the CRC-32 of the others, and leaves to them to make the
 * flash readable as memory. Any place: it holds no address of itself.
 *
 * Each read of memory becomes the command 03h (read data) and 24 bits of address on one data line,
 * which every serial flash chip knows: 64 clocks of the flash for 32 bits, at a quarter of the
 * core's clock. Chips are specified to 33 MHz or more for it: 31.25 MHz with the core at 125 MHz.
 *
 * RP2040 datasheet: 2.8.1 (processor controlled boot sequence), 4.10 (SSI). Never run on a board.
 */
    .syntax unified
    .cpu cortex-m0plus
    .thumb

    .equ SSI, 0x18000000
    .equ CTRLR0, 0x00
    .equ CTRLR1, 0x04
    .equ SSIENR, 0x08
    .equ SER, 0x10
    .equ BAUDR, 0x14
    .equ SPI_CTRLR0, 0xF4
    .equ FRAME_BITS_32, 31 << 16        /* CTRLR0.DFS_32: bits of a frame, less one */
    .equ COMMAND_THEN_DATA, 3 << 8      /* CTRLR0.TMOD: send command and address, then receive */
    .equ READ_DATA, 0x03 << 24          /* SPI_CTRLR0.XIP_CMD */
    .equ COMMAND_8_BITS, 2 << 8         /* SPI_CTRLR0.INST_L */
    .equ ADDRESS_24_BITS, 6 << 2        /* SPI_CTRLR0.ADDR_L, in units of 4 bits; no wait cycles */
    .equ VTOR, 0xE000ED08
    .equ PROGRAM, 0x10000100            /* its vectors, behind these 256 bytes */

    .section .text
    .global boot
    .thumb_func
boot:
    ldr     r0, =SSI
    movs    r1, #0
    str     r1, [r0, #SSIENR]           /* off: the others can be written only then */
    str     r1, [r0, #CTRLR1]           /* one frame of data a command */
    movs    r1, #4
    str     r1, [r0, #BAUDR]
    movs    r1, #1
    str     r1, [r0, #SER]              /* the chip select of the flash */
    ldr     r2, =FRAME_BITS_32 | COMMAND_THEN_DATA
    str     r2, [r0, #CTRLR0]
    ldr     r2, =READ_DATA | COMMAND_8_BITS | ADDRESS_24_BITS
    ldr     r3, =SSI + SPI_CTRLR0
    str     r2, [r3]
    str     r1, [r0, #SSIENR]

    ldr     r0, =PROGRAM                /* as the core does at a reset: vectors, stack, first code */
    ldr     r1, =VTOR
    str     r0, [r1]
    ldmia   r0!, {r2, r3}
    msr     msp, r2
    bx      r3
    .ltorg
