// SPDX-License-Identifier: MIT
// What the last lane to arrive at a warp's collective computes for all. A part of the scheduler.
#pragma once

#include <cstdint>

#include "tests/emulation/scheduler.h"

namespace msd::emulation {

/// Lane l gets source[l]'s words, where that is a lane; else its own.
struct ShuffleIn {
  const std::uint32_t* words;
  int count;
  int source;
};
void shuffle_lanes(const Lanes& lanes);  // ShuffleIn -> count words

void ballot_lanes(const Lanes& lanes);  // bool -> unsigned

/// Row l%8 of matrix l/8, eight 16-bit elements.
struct MatrixRow {
  std::uint16_t elements[8];
};
void distribute_matrices(const Lanes& lanes);             // MatrixRow -> uint32_t[4]
void distribute_transposed_matrices(const Lanes& lanes);  // MatrixRow -> uint32_t[4]

/// Accumulates in float, k rising, each product rounded once with its sum: of the orders a tensor
/// core may use, none is documented.
struct MmaIn {
  std::uint32_t a[4];
  std::uint32_t b[2];
  float c[4];
};
void mma_16x8x16_bf16(const Lanes& lanes);  // MmaIn -> float[4]
void mma_16x8x8_tf32(const Lanes& lanes);   // MmaIn -> float[4]

}  // namespace msd::emulation
