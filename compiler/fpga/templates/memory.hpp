// SPDX-License-Identifier: Apache-2.0
// Everything that touches external memory: descriptors, weights, feature maps.
//
// A weight word is 64 bits: 16 weights of 4 bits, first in the lowest bits, or a 32-bit bias below a
// 32-bit multiplier. The words of a step follow each other in the order in which they are loaded.
#pragma once
#include <hls_stream.h>

#include "types.h"

struct pointwise_weights_t {
    weight_t tile[MAX_WEIGHT_TILES][LANES][LANES];  // [out block * in blocks + in block][out][in]
    acc_t bias[MAX_BLOCKS][LANES];
    mult_t multiplier[MAX_BLOCKS][LANES];
};

struct offset_weights_t {
    weight_t weight[MAX_BLOCKS][LANES];
    acc_t bias;
    mult_t multiplier;
};

struct deform_weights_t {
    weight_t weight[MAX_BLOCKS][9][LANES];
    acc_t bias[MAX_BLOCKS][LANES];
    mult_t multiplier[MAX_BLOCKS][LANES];
};

inline step_t read_step(const int32_t *program, int index) {
    int32_t field[STEP_WORDS];
DESCRIPTOR:
    for (int i = 0; i < STEP_WORDS; ++i) {
#pragma HLS PIPELINE II=1
        field[i] = program[index * STEP_WORDS + i];
    }
    step_t s;
    s.pointwise = (field[FLAGS] & FLAG_POINTWISE) != 0;
    s.deform = (field[FLAGS] & FLAG_DEFORM) != 0;
    s.height = field[HEIGHT];
    s.width = field[WIDTH];
    s.in_blocks = field[IN_BLOCKS];
    s.out_blocks = field[OUT_BLOCKS];
    s.source = field[SOURCE];
    s.sink = field[SINK];
    s.weights = field[WEIGHTS];
    s.pointwise_requant = {field[POINTWISE_SHIFT], field[POINTWISE_ZERO_POINT],
                           field[POINTWISE_LOW], field[POINTWISE_HIGH]};
    s.deform_requant = {field[DEFORM_SHIFT], field[DEFORM_ZERO_POINT], field[DEFORM_LOW],
                        field[DEFORM_HIGH]};
    s.offset_shift = field[OFFSET_SHIFT];
    s.border = field[DEFORM_BORDER];
    return s;
}

inline void unpack_weights(uint64_t word, weight_t out[LANES]) {
#pragma HLS INLINE
    for (int i = 0; i < LANES; ++i) {
#pragma HLS UNROLL
        const int nibble = int((word >> (4 * i)) & 15);
        out[i] = weight_t(nibble < 8 ? nibble : nibble - 16);
    }
}

inline void unpack_channel(uint64_t word, acc_t &bias, mult_t &multiplier) {
#pragma HLS INLINE
    bias = acc_t(int32_t(uint32_t(word)));
    multiplier = mult_t(int32_t(uint32_t(word >> 32)));
}

inline int load_pointwise(const uint64_t *weights, int next, const step_t &s,
                          pointwise_weights_t &w) {
    const int rows = s.in_blocks * s.out_blocks * LANES;
TILES:
    for (int i = 0; i < rows; ++i) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=16 max=MAX_TILE_ROWS
        COUNT(load);
        unpack_weights(weights[next + i], w.tile[i / LANES][i % LANES]);
    }
CHANNELS:
    for (int i = 0; i < s.out_blocks * LANES; ++i) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=16 max=MAX_CHANNELS
        COUNT(load);
        unpack_channel(weights[next + rows + i], w.bias[i / LANES][i % LANES],
                       w.multiplier[i / LANES][i % LANES]);
    }
    return next + rows + s.out_blocks * LANES;
}

inline int load_offset(const uint64_t *weights, int next, const step_t &s, offset_weights_t &w) {
OFFSET_BLOCKS:
    for (int i = 0; i < s.out_blocks; ++i) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=1 max=MAX_BLOCKS
        COUNT(load);
        unpack_weights(weights[next + i], w.weight[i]);
    }
    COUNT(load);
    unpack_channel(weights[next + s.out_blocks], w.bias, w.multiplier);
    return next + s.out_blocks + 1;
}

inline void load_deform(const uint64_t *weights, int next, const step_t &s, deform_weights_t &w) {
    int block = 0, tap = 0;
TAPS:
    for (int i = 0; i < s.out_blocks * 9; ++i) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=9 max=MAX_TAP_ROWS
        COUNT(load);
        unpack_weights(weights[next + i], w.weight[block][tap]);
        if (++tap == 9) {
            tap = 0;
            ++block;
        }
    }
CHANNELS:
    for (int i = 0; i < s.out_blocks * LANES; ++i) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=16 max=MAX_CHANNELS
        COUNT(load);
        unpack_channel(weights[next + s.out_blocks * 9 + i], w.bias[i / LANES][i % LANES],
                       w.multiplier[i / LANES][i % LANES]);
    }
}

inline void read_map(const word_t *maps, int first, int words, hls::stream<word_t> &out) {
READ:
    for (int i = 0; i < words; ++i) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=1 max=MAX_MAP_WORDS
        COUNT(read);
        out.write(maps[first + i]);
    }
}

inline void write_map(word_t *maps, int first, int words, hls::stream<word_t> &in) {
WRITE:
    for (int i = 0; i < words; ++i) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=1 max=MAX_MAP_WORDS
        COUNT(write);
        maps[first + i] = in.read();
    }
}
