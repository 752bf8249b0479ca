/* SPDX-License-Identifier: Apache-2.0
 *
 * Reset: enable the FPU, copy .data from flash, zero .bss, call main. No interrupts are used.
 * The core starts with the stack pointer of vector 0 at the address in vector 1.
 */
#include <stdint.h>

extern uint32_t image_data_load[], image_data_start[], image_data_end[];
extern uint32_t image_bss_start[], image_bss_end[], image_stack_top[];

int main(void);
void Reset_Handler(void);
void Default_Handler(void);

/* An image of bare kernels has no main of its own. */
__attribute__((weak)) int main(void)
{
    return 0;
}

void Default_Handler(void)
{
    for (;;) {
        __asm volatile("");
    }
}

void Reset_Handler(void)
{
#if defined(__ARM_FP)
    volatile uint32_t *const cpacr = (volatile uint32_t *)0xE000ED88u;
    *cpacr |= 0xFu << 20; /* full access to CP10 and CP11 */
    __asm volatile("dsb\n\tisb" ::: "memory");
#endif
    /* volatile keeps the compiler from turning the loops into calls of memcpy and memset */
    volatile uint32_t *to = image_data_start;
    for (const uint32_t *from = image_data_load; to < image_data_end; ++from) {
        *to++ = *from;
    }
    for (to = image_bss_start; to < image_bss_end;) {
        *to++ = 0;
    }
    (void)main();
    Default_Handler();
}

__attribute__((section(".vectors"), used)) static const uintptr_t vectors[16] = {
    (uintptr_t)image_stack_top,
    (uintptr_t)Reset_Handler,
    (uintptr_t)Default_Handler, /* NMI */
    (uintptr_t)Default_Handler, /* HardFault */
    (uintptr_t)Default_Handler, /* MemManage */
    (uintptr_t)Default_Handler, /* BusFault */
    (uintptr_t)Default_Handler, /* UsageFault */
};
