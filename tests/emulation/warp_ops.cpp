// SPDX-License-Identifier: MIT
// Fragment layouts: PTX ISA 8.x, "Matrix Fragments for mma.m16n8k16 with floating point type",
// "... mma.m16n8k8" and "ldmatrix".
#include "tests/emulation/warp_ops.h"

namespace msd::emulation {
namespace {

constexpr int kLanes = 32;

float float_of(std::uint32_t bits) {
  float value;
  __builtin_memcpy(&value, &bits, sizeof(value));
  return value;
}
float low_bfloat16(std::uint32_t pair) { return float_of(pair << 16); }
float high_bfloat16(std::uint32_t pair) { return float_of(pair & 0xFFFF0000u); }
/// The hardware ignores what tf32 has no room for.
float tf32(std::uint32_t bits) { return float_of(bits & 0xFFFFE000u); }

template <typename T>
const T& in(const Lanes& lanes, int lane) {
  return *static_cast<const T*>(lanes.in[lane]);
}

template <int kDepth>
struct Product {
  float a[16][kDepth], b[kDepth][8], d[16][8];

  void load_accumulators(const Lanes& lanes) {
    for (int lane = 0; lane < kLanes; ++lane) {
      const float* c = in<MmaIn>(lanes, lane).c;
      const int g = lane / 4, t = lane % 4;
      d[g][2 * t] = c[0];
      d[g][2 * t + 1] = c[1];
      d[g + 8][2 * t] = c[2];
      d[g + 8][2 * t + 1] = c[3];
    }
  }
  void multiply() {
    for (int row = 0; row < 16; ++row) {
      for (int k = 0; k < kDepth; ++k) {
        for (int column = 0; column < 8; ++column) d[row][column] += a[row][k] * b[k][column];
      }
    }
  }
  void store(const Lanes& lanes) const {
    for (int lane = 0; lane < kLanes; ++lane) {
      auto* out = static_cast<float*>(lanes.out[lane]);
      const int g = lane / 4, t = lane % 4;
      out[0] = d[g][2 * t];
      out[1] = d[g][2 * t + 1];
      out[2] = d[g + 8][2 * t];
      out[3] = d[g + 8][2 * t + 1];
    }
  }
};

/// Copies of the rows; a lane may give the same address for its row and its fragment.
struct Matrices {
  explicit Matrices(const Lanes& lanes) {
    for (int lane = 0; lane < kLanes; ++lane) rows[lane / 8][lane % 8] = in<MatrixRow>(lanes, lane);
  }
  std::uint32_t at(int matrix, int row, int column) const {
    return rows[matrix][row].elements[column];
  }
  MatrixRow rows[4][8];
};

}  // namespace

void shuffle_lanes(const Lanes& lanes) {
  std::uint32_t words[kLanes][4];
  for (int lane = 0; lane < kLanes; ++lane) {
    const auto& given = in<ShuffleIn>(lanes, lane);
    for (int i = 0; i < given.count; ++i) words[lane][i] = given.words[i];
  }
  for (int lane = 0; lane < kLanes; ++lane) {
    const auto& given = in<ShuffleIn>(lanes, lane);
    const int source = given.source >= 0 && given.source < kLanes ? given.source : lane;
    auto* out = static_cast<std::uint32_t*>(lanes.out[lane]);
    for (int i = 0; i < given.count; ++i) out[i] = words[source][i];
  }
}

void ballot_lanes(const Lanes& lanes) {
  unsigned bits = 0;
  for (int lane = 0; lane < kLanes; ++lane) {
    if (in<bool>(lanes, lane)) bits |= 1u << lane;
  }
  for (int lane = 0; lane < kLanes; ++lane) *static_cast<unsigned*>(lanes.out[lane]) = bits;
}

void distribute_matrices(const Lanes& lanes) {
  const Matrices matrices(lanes);
  for (int lane = 0; lane < kLanes; ++lane) {
    auto* out = static_cast<std::uint32_t*>(lanes.out[lane]);
    const int row = lane / 4, column = 2 * (lane % 4);
    for (int i = 0; i < 4; ++i) {
      out[i] = matrices.at(i, row, column) | matrices.at(i, row, column + 1) << 16;
    }
  }
}

void distribute_transposed_matrices(const Lanes& lanes) {
  const Matrices matrices(lanes);
  for (int lane = 0; lane < kLanes; ++lane) {
    auto* out = static_cast<std::uint32_t*>(lanes.out[lane]);
    const int row = 2 * (lane % 4), column = lane / 4;
    for (int i = 0; i < 4; ++i) {
      out[i] = matrices.at(i, row, column) | matrices.at(i, row + 1, column) << 16;
    }
  }
}

void mma_16x8x16_bf16(const Lanes& lanes) {
  Product<16> product;
  product.load_accumulators(lanes);
  for (int lane = 0; lane < kLanes; ++lane) {
    const auto& given = in<MmaIn>(lanes, lane);
    const int g = lane / 4, t = lane % 4;
    for (int i = 0; i < 4; ++i) {
      const int row = g + 8 * (i % 2), k = 2 * t + 8 * (i / 2);
      product.a[row][k] = low_bfloat16(given.a[i]);
      product.a[row][k + 1] = high_bfloat16(given.a[i]);
    }
    for (int i = 0; i < 2; ++i) {
      product.b[2 * t + 8 * i][g] = low_bfloat16(given.b[i]);
      product.b[2 * t + 8 * i + 1][g] = high_bfloat16(given.b[i]);
    }
  }
  product.multiply();
  product.store(lanes);
}

void mma_16x8x8_tf32(const Lanes& lanes) {
  Product<8> product;
  product.load_accumulators(lanes);
  for (int lane = 0; lane < kLanes; ++lane) {
    const auto& given = in<MmaIn>(lanes, lane);
    const int g = lane / 4, t = lane % 4;
    for (int i = 0; i < 4; ++i) product.a[g + 8 * (i % 2)][t + 4 * (i / 2)] = tf32(given.a[i]);
    for (int i = 0; i < 2; ++i) product.b[t + 4 * i][g] = tf32(given.b[i]);
  }
  product.multiply();
  product.store(lanes);
}

}  // namespace msd::emulation
