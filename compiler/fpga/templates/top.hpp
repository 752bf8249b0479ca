// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "types.h"

// Run a layer program of `steps` descriptors. `source` and `sink` are two ports to the same feature
// memory, which holds the input map, every step's output and so the result; each step reads what
// an earlier one has finished writing.
extern "C" void tinytailor_engine(const int32_t *program, const uint64_t *weights,
                                  const word_t *source, word_t *sink, int steps);
