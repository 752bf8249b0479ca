// SPDX-License-Identifier: Apache-2.0
// Square deformable depthwise 3x3 convolution in two streamed stages.
//
// find_dilation   a 1-channel 1x1 convolution makes the dilation d of each pixel on the fly.
// square_deform   y[r,c] = sum_{i,j in -1..1} w[i,j] * x[r + i*d, c + j*d], outside = input zero point.
//
// Line buffer: LINE_ROWS = 16 rows, one memory bank each, row r in bank r % 16. While row r is
// computed, row r + 8 arrives in the bank of row r - 8; rows r-7 .. r+7 are complete, so d = 7 is
// exact. The three taps of a kernel column lie at one address of three banks (all banks read that
// address, three are selected), hence three taps per cycle with one read port per bank.
#pragma once
#include <hls_stream.h>

#include "memory.hpp"
#include "requant.hpp"
#include "types.h"

inline void find_dilation(const step_t &s, const offset_weights_t &w, hls::stream<word_t> &in,
                          hls::stream<tagged_t> &out) {
    const requant_t to_pixels = {s.offset_shift, 0, 0, MAX_DILATION};
    acc_t acc = 0;
    int block = 0;
OFFSET:
    for (int t = 0; t < s.height * s.width * s.out_blocks; ++t) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=1 max=MAX_MAP_WORDS
        COUNT(offset);
        tagged_t tagged;
        tagged.word = in.read();
        tagged.dilation = 0;
        if (s.deform) {
            acc_t sum = 0;
            for (int i = 0; i < LANES; ++i) {
#pragma HLS UNROLL
                sum = acc_t(sum + w.weight[block][i] * tagged.word.at[i]);
            }
            acc = acc_t((block == 0 ? w.bias : acc) + sum);
            if (block == s.out_blocks - 1) {
                tagged.dilation = dilation_t(requantize(acc, w.multiplier, to_pixels));
            }
        }
        out.write(tagged);
        if (++block == s.out_blocks) block = 0;
    }
}

struct line_buffer_t {
    word_t bank[LINE_ROWS][MAX_ROW_WORDS];      // [row % LINE_ROWS][column * blocks + block]
    dilation_t dilation[LINE_ROWS][MAX_ROW_WORDS];  // [row % LINE_ROWS][column]
};

inline void store(line_buffer_t &line, int row, int column, int block, int address,
                  const step_t &s, hls::stream<tagged_t> &in) {
#pragma HLS INLINE
    const tagged_t tagged = in.read();
    line.bank[row % LINE_ROWS][address] = tagged.word;
    if (block == s.out_blocks - 1) line.dilation[row % LINE_ROWS][column] = tagged.dilation;
}

inline void fill(const step_t &s, int rows, line_buffer_t &line, hls::stream<tagged_t> &in) {
    int row = 0, column = 0, block = 0, address = 0;
FILL:
    for (int t = 0; t < rows * s.width * s.out_blocks; ++t) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=1 max=MAX_FILL_TRIPS
        COUNT(deform);
        store(line, row, column, block, address, s, in);
        ++address;
        if (++block == s.out_blocks) {
            block = 0;
            if (++column == s.width) {
                column = 0;
                address = 0;
                ++row;
            }
        }
    }
}

// One kernel column: the words of rows r - d, r, r + d at column c + j*d, or the border word.
inline void read_taps(const line_buffer_t &line, const step_t &s, int row, int column, int block,
                      int d, int j, word_t tap[3]) {
#pragma HLS INLINE
    const int x = column + j * d;
    const bool inside = x >= 0 && x < s.width;
    const int address = inside ? x * s.out_blocks + block : 0;
    word_t banks[LINE_ROWS];
#pragma HLS ARRAY_PARTITION variable=banks complete
    for (int b = 0; b < LINE_ROWS; ++b) {
#pragma HLS UNROLL
        banks[b] = line.bank[b][address];
    }
    for (int i = 0; i < 3; ++i) {
#pragma HLS UNROLL
        const int y = row + (i - 1) * d;
        const bool valid = inside && y >= 0 && y < s.height;
        for (int k = 0; k < LANES; ++k) {
#pragma HLS UNROLL
            tap[i].at[k] = valid ? banks[y & (LINE_ROWS - 1)].at[k] : act_t(s.border);
        }
    }
}

// Add kernel column j (0..2) to the sums of one output word; column 0 starts them with the bias.
inline void accumulate(const deform_weights_t &w, int block, int j, const word_t tap[3],
                       acc_t acc[LANES]) {
#pragma HLS INLINE
    for (int k = 0; k < LANES; ++k) {
#pragma HLS UNROLL
        acc_t sum = j == 0 ? w.bias[block][k] : acc[k];
        for (int i = 0; i < 3; ++i) {
#pragma HLS UNROLL
            sum = acc_t(sum + w.weight[block][3 * i + j][k] * tap[i].at[k]);
        }
        acc[k] = sum;
    }
}

inline void untag(int words, hls::stream<tagged_t> &in, hls::stream<word_t> &out) {
UNTAG:
    for (int i = 0; i < words; ++i) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=1 max=MAX_MAP_WORDS
        out.write(in.read().word);
    }
}

inline void square_deform(const step_t &s, const deform_weights_t &w, line_buffer_t &line,
                          hls::stream<tagged_t> &in, hls::stream<word_t> &out) {
    const int words = s.height * s.width * s.out_blocks;
    if (!s.deform) {
        untag(words, in, out);
        return;
    }
    const int lead = s.height < LINE_LEAD ? s.height : LINE_LEAD;
    fill(s, lead, line, in);
    acc_t acc[LANES];
#pragma HLS ARRAY_PARTITION variable=acc complete
    int row = 0, column = 0, block = 0, address = 0, j = 0;
DEFORM:
    for (int t = 0; t < words * 3; ++t) {
#pragma HLS PIPELINE II=1
#pragma HLS LOOP_TRIPCOUNT min=3 max=MAX_DEFORM_TRIPS
// Row r + 8 is first read in row r + 1, and the row it replaces was last read in row r - 1: in the
// narrowest map, one word per row, that is one word, three iterations, away.
#pragma HLS DEPENDENCE variable=line.bank inter RAW distance=3 true
#pragma HLS DEPENDENCE variable=line.bank inter WAR distance=3 true
#pragma HLS DEPENDENCE variable=line.dilation inter false
        COUNT(deform);
        if (j == 0 && row + LINE_LEAD < s.height) {
            store(line, row + LINE_LEAD, column, block, address, s, in);
        }
        const int d = int(line.dilation[row % LINE_ROWS][column]);
        word_t tap[3];
        read_taps(line, s, row, column, block, d, j - 1, tap);
        accumulate(w, block, j, tap, acc);
        if (j == 2) {
            word_t y;
            for (int k = 0; k < LANES; ++k) {
#pragma HLS UNROLL
                y.at[k] = act_t(requantize(acc[k], w.multiplier[block][k], s.deform_requant));
            }
            out.write(y);
        }
        if (++j == 3) {
            j = 0;
            ++address;
            if (++block == s.out_blocks) {
                block = 0;
                if (++column == s.width) {
                    column = 0;
                    address = 0;
                    ++row;
                }
            }
        }
    }
}
