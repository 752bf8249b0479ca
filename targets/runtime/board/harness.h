/* SPDX-License-Identifier: Apache-2.0
 *
 * What the generated file of an image tells the harness: who the image is and what it can call.
 */
#ifndef TT_HARNESS_H
#define TT_HARNESS_H

#include <stdint.h>

#define TT_BUILD_ID_BYTES 16u
#define TT_MOST_POINTERS 16u

struct tt_function {
    void (*run)(uint8_t *const *pointers);
    uint32_t pointers;
};

struct tt_image {
    uint8_t build_id[TT_BUILD_ID_BYTES];
    const char *board, *core;
    uint32_t clock_hz, baud, stack_bytes, functions;
};

extern const struct tt_image tt_image;
extern const struct tt_function tt_functions[];

#endif
