// SPDX-License-Identifier: Apache-2.0
// 1x1 convolution, W4A8, one 16 x 16 tile of weights per cycle, one flattened loop over
// pixels, output blocks and input blocks. Without a 1x1 convolution in the step, words pass through.
#pragma once
#include <hls_stream.h>

#include "memory.hpp"
#include "requant.hpp"
#include "types.h"

// Two products from one 21 x 8 bit multiplication, so one DSP block serves two output channels:
// (high * 2^16 + low) * x. The low product fits in 16 bits; taking it off first repairs its borrow.
inline void multiply_pair(weight_t low, weight_t high, act_t x, lane_t &low_x, lane_t &high_x) {
#pragma HLS INLINE
    const packed_t packed = packed_t(packed_t(high) * 65536 + low);
    const wide_t both = wide_t(packed * x);
    low_x = lane_t(both);
    high_x = lane_t((both - low_x) >> 16);
}

inline void multiply_tile(const weight_t tile[LANES][LANES], const word_t &x, acc_t sum[LANES]) {
#pragma HLS INLINE
    for (int o = 0; o < LANES; o += 2) {
#pragma HLS UNROLL
        acc_t even = 0, odd = 0;
        for (int i = 0; i < LANES; ++i) {
#pragma HLS UNROLL
            lane_t low, high;
            multiply_pair(tile[o][i], tile[o + 1][i], x.at[i], low, high);
            even = acc_t(even + low);
            odd = acc_t(odd + high);
        }
        sum[o] = even;
        sum[o + 1] = odd;
    }
}

inline void forward(int words, hls::stream<word_t> &in, hls::stream<word_t> &out) {
FORWARD:
    for (int i = 0; i < words; ++i) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=1 max=MAX_MAP_WORDS
        out.write(in.read());
    }
}

inline void pointwise(const step_t &s, const pointwise_weights_t &w, hls::stream<word_t> &in,
                      hls::stream<word_t> &out) {
    const int pixels = s.height * s.width;
    if (!s.pointwise) {
        forward(pixels * s.in_blocks, in, out);
        return;
    }
    word_t pixel[MAX_BLOCKS];
    word_t last_word;  // with one input block the pixel is this word: no read right after a write
    acc_t acc[LANES];
#pragma HLS ARRAY_PARTITION variable=acc complete
    const int tiles = s.in_blocks * s.out_blocks;
    int ib = 0, ob = 0, tile = 0;
POINTWISE:
    for (int t = 0; t < pixels * tiles; ++t) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=1 max=MAX_POINTWISE_TRIPS
#pragma HLS DEPENDENCE variable=pixel inter RAW distance=2 true
        COUNT(pointwise);
        word_t x;
        if (ob == 0) {
            x = in.read();
            pixel[ib] = x;
        } else if (s.in_blocks == 1) {
            x = last_word;
        } else {
            x = pixel[ib];
        }
        last_word = x;
        acc_t sum[LANES];
        multiply_tile(w.tile[tile], x, sum);
        for (int o = 0; o < LANES; ++o) {
#pragma HLS UNROLL
            acc[o] = acc_t((ib == 0 ? w.bias[ob][o] : acc[o]) + sum[o]);
        }
        if (ib == s.in_blocks - 1) {
            word_t y;
            for (int o = 0; o < LANES; ++o) {
#pragma HLS UNROLL
                y.at[o] = act_t(requantize(acc[o], w.multiplier[ob][o], s.pointwise_requant));
            }
            out.write(y);
        }
        ++tile;
        if (++ib == s.in_blocks) {
            ib = 0;
            if (++ob == s.out_blocks) {
                ob = 0;
                tile = 0;
            }
        }
    }
}
