// SPDX-License-Identifier: MIT
// calls/: each op's call written once, for its tests, the bf16 tests, the planted faults and the
// benchmarks. A call owns an op's operands, which lie in a Memory of its user's, and has
//   MSD_CALL(the op, what it writes)
//   args()      its argument struct, made from the operands
//   start()     where the op adds to operands: fills them as they were
// Beside it stands the double reference. A Memory (tests: call_runs.h, bfloat16_rows.h; benchmarks:
// cpu_bench.h, cuda_bench.h) has
//   Rows      an activation, with view():
//             rows(shape, gap, content), shared_rows(count) for packed weights
//   Values    of the accumulator's type, with data():
//             values(count, content), flat(count, content)
//   Array<E>  labels, indices, counters, with data():
//             array<E>(count, content), large<E>(count, content)
//   kValues   the DType of Values
// and gives operands content where they are asked to have any. A benchmark that cycles through sets
// of operands may share those of shared_rows, values and array between the sets.
#pragma once

#include <cstdint>
#include <string>
#include <tuple>

#include "kernels/check.h"
#include "kernels/ops.h"

namespace msd::calls {

/// Elements of other owners around an operand's channels: its pitch is before + c + after.
struct Gap {
  std::int64_t before = 0, after = 0;
};

/// c channels from `first` of rows `pitch` apart.
constexpr Gap slice(std::int64_t c, std::int64_t pitch, std::int64_t first = 0) {
  return {first, pitch - first - c};
}
/// Rows of nothing but c channels, as buffers have them.
constexpr Gap dense(std::int64_t c, DType dtype = DType::f32) {
  return slice(c, row_pitch(c, dtype));
}

/// Of a call's activations.
struct Gaps {
  Gap x = {}, y = {}, dy = {}, dx = {};
};

/// An activation's size.
struct Shape {
  std::int64_t n, h, w, c;
  std::int64_t rows() const { return n * h * w; }
  std::int64_t elems() const { return rows() * c; }
  std::string text() const { return message("[", n, ",", h, ",", w, ",", c, "]"); }
};

/// What an operand begins with: numbers of [low, high) or whole ones of [low, high]; of seed 0
/// anything, as it is to be written.
struct Content {
  std::uint64_t seed = 0;
  double low = -1.0, high = 1.0;
  bool whole = false;
};
constexpr Content whole(std::uint64_t seed, double low = -4.0, double high = 4.0) {
  return {seed, low, high, true};
}

/// Gives an operand of a test its content again.
template <typename Operand>
void fill_again(Operand& operand, const Content& content) {
  if (content.seed == 0) {
    operand.poison();
  } else if (content.whole) {
    operand.integers(content.seed, static_cast<std::int64_t>(content.low),
                     static_cast<std::int64_t>(content.high));
  } else {
    operand.random(content.seed, content.low, content.high);
  }
}

/// In a call: kOp, the op; kName; outputs(), references to the operands it writes, and their names.
#define MSD_CALL(the_op, ...)                           \
  static constexpr auto* kOp = &the_op;                 \
  static constexpr const char* kName = #the_op;         \
  static constexpr const char* kOutputs = #__VA_ARGS__; \
  auto outputs() { return std::tie(__VA_ARGS__); }

template <typename Call>
void run(ExecutionContext& context, Call& call) {
  const auto args = call.args();
  Call::kOp(context, {&args, 1});
}

}  // namespace msd::calls
