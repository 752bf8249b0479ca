// SPDX-License-Identifier: Apache-2.0
// The engine: for each step of the program, load its weights, then stream the map once through
// read -> 1x1 convolution -> dilation -> deformable 3x3 -> write. Nothing here knows a network.
#include "top.hpp"

#include <hls_stream.h>

#include "memory.hpp"
#include "pointwise.hpp"
#include "square_deform.hpp"

#ifndef __SYNTHESIS__
#include <stdexcept>
iterations_t iterations;
#endif

static void run_step(const step_t s, const pointwise_weights_t &pw, const offset_weights_t &ow,
                     const deform_weights_t &dw, line_buffer_t &line, const word_t *source,
                     word_t *sink) {
#pragma HLS DATAFLOW
    hls::stream<word_t> input("input"), mixed("mixed"), output("output");
    hls::stream<tagged_t> tagged("tagged");
// Each stage consumes its stream in order and at its own pace: two words of slack are enough.
#pragma HLS STREAM variable=input depth=2
#pragma HLS STREAM variable=mixed depth=2
#pragma HLS STREAM variable=tagged depth=2
#pragma HLS STREAM variable=output depth=2
    read_map(source, s.source, s.height * s.width * s.in_blocks, input);
    pointwise(s, pw, input, mixed);
    find_dilation(s, ow, mixed, tagged);
    square_deform(s, dw, line, tagged, output);
    write_map(sink, s.sink, s.height * s.width * s.out_blocks, output);
#ifndef __SYNTHESIS__
    if (!input.empty() || !mixed.empty() || !tagged.empty() || !output.empty()) {
        throw std::runtime_error("a stage left words in its input stream");
    }
#endif
}

extern "C" void tinytailor_engine(const int32_t *program, const uint64_t *weights,
                                  const word_t *source, word_t *sink, int steps) {
#pragma HLS INTERFACE m_axi port=program bundle=program offset=slave depth=PROGRAM_DEPTH
#pragma HLS INTERFACE m_axi port=weights bundle=weights offset=slave depth=WEIGHTS_DEPTH
#pragma HLS INTERFACE m_axi port=source bundle=source offset=slave depth=MAPS_DEPTH
#pragma HLS INTERFACE m_axi port=sink bundle=sink offset=slave depth=MAPS_DEPTH
#pragma HLS INTERFACE s_axilite port=steps
#pragma HLS INTERFACE s_axilite port=return
#pragma HLS AGGREGATE variable=source compact=byte
#pragma HLS AGGREGATE variable=sink compact=byte
    static pointwise_weights_t pw;
    static offset_weights_t ow;
    static deform_weights_t dw;
    static line_buffer_t line;
#pragma HLS ARRAY_PARTITION variable=pw.tile complete dim=2
#pragma HLS ARRAY_PARTITION variable=pw.tile complete dim=3
#pragma HLS ARRAY_PARTITION variable=pw.bias complete dim=2
#pragma HLS ARRAY_PARTITION variable=pw.multiplier complete dim=2
#pragma HLS ARRAY_PARTITION variable=ow.weight complete dim=2
#pragma HLS ARRAY_PARTITION variable=dw.weight complete dim=2
#pragma HLS ARRAY_PARTITION variable=dw.weight complete dim=3
#pragma HLS ARRAY_PARTITION variable=dw.bias complete dim=2
#pragma HLS ARRAY_PARTITION variable=dw.multiplier complete dim=2
#pragma HLS ARRAY_PARTITION variable=line.bank complete dim=1
STEPS:
    for (int n = 0; n < steps; ++n) {
#pragma HLS LOOP_TRIPCOUNT min=1 max=64
        const step_t s = read_step(program, n);
        int next = s.weights;
        if (s.pointwise) next = load_pointwise(weights, next, s, pw);
        if (s.deform) {
            next = load_offset(weights, next, s, ow);
            load_deform(weights, next, s, dw);
        }
        run_step(s, pw, ow, dw, line, source, sink);
    }
}
