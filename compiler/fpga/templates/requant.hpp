// SPDX-License-Identifier: Apache-2.0
// y = clamp(zero_point + ((acc * 2^shift * m + 2^31) >> 32), low, high), one rounding.
// Shifting the product right by 32 - shift instead gives the same integer in 24 + 32 bits.
#pragma once
#include "types.h"

inline int requantize(acc_t acc, mult_t multiplier, const requant_t &q) {
#pragma HLS INLINE
    const prod_t product = multiply(acc, multiplier);
    const prod_t half = prod_t(1) << (31 - q.shift);
    const prod_t value = ((product + half) >> (32 - q.shift)) + q.zero_point;
    if (value < q.low) return q.low;
    if (value > q.high) return q.high;
    return int(value);
}
