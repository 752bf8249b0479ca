/* SPDX-License-Identifier: Apache-2.0
 *
 * The part of <string.h> that generated code may use, for a compiler that comes without a C
 * library (zig); its run-time library holds the functions.
 */
#ifndef TINYTAILOR_STRING_H
#define TINYTAILOR_STRING_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *left, const void *right, size_t bytes);

#endif
