// SPDX-License-Identifier: Apache-2.0
// Number types and words of the engine. Plain C types by default: the widths below are then upper
// bounds that the compiler of this project has checked. With TT_AP_INT they are exact, as in hardware.
#pragma once
#include <cstdint>

#include "config.h"

#ifdef TT_AP_INT
#include <ap_int.h>
typedef ap_int<8> act_t;      // activation
typedef ap_int<4> weight_t;   // weight
typedef ap_int<21> packed_t;  // two weights 16 bits apart
typedef ap_int<29> wide_t;    // two products 16 bits apart
typedef ap_int<16> lane_t;    // one of those products
typedef ap_int<24> acc_t;     // accumulator, bias included
typedef ap_int<32> mult_t;    // requantization multiplier, 0 .. 2^31 - 1
typedef ap_int<56> prod_t;    // accumulator times multiplier
typedef ap_uint<3> dilation_t;
inline prod_t multiply(acc_t acc, mult_t multiplier) { return acc * multiplier; }
#else
typedef int8_t act_t;
typedef int8_t weight_t;
typedef int32_t packed_t;
typedef int32_t wide_t;
typedef int16_t lane_t;
typedef int32_t acc_t;
typedef int32_t mult_t;
typedef int64_t prod_t;
typedef uint8_t dilation_t;
inline prod_t multiply(acc_t acc, mult_t multiplier) { return prod_t(acc) * multiplier; }
#endif

// 16 consecutive channels of one pixel: the unit that memory ports and streams carry.
struct word_t {
    act_t at[LANES];
};

// A word on its way to the line buffer; the dilation is the pixel's, valid with its last word.
struct tagged_t {
    word_t word;
    dilation_t dilation;
};

struct requant_t {
    int shift, zero_point, low, high;
};

// One step of the layer program: an optional 1x1 convolution, then an optional deformable layer.
struct step_t {
    bool pointwise, deform;
    int height, width;
    int in_blocks, out_blocks;  // words per pixel before and after the 1x1 convolution
    int source, sink;           // first word of the input and output map in feature memory
    int weights;                // first 64-bit word in weight memory
    requant_t pointwise_requant, deform_requant;
    int offset_shift;
    int border;  // what the deformable layer reads outside the map: its input zero point
};

// Iterations of the pipelined loops, counted in C simulation: the cycle model must agree with them.
#ifndef __SYNTHESIS__
struct iterations_t {
    long long load, read, pointwise, offset, deform, write;
};
extern iterations_t iterations;
#define COUNT(stage) (++iterations.stage)
#else
#define COUNT(stage)
#endif
