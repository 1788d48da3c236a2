// SPDX-License-Identifier: MIT
// The calls (calls/memory.h) on the harness's guarded operands.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/kernels/calls/memory.h"
#include "tests/kernels/op_harness.h"

namespace msd::test {

/// A call's memory of guarded operands. T: of activations and accumulators.
template <typename T>
struct Guarded {
  using Rows = Operand<T>;
  using Values = Operand<T>;
  template <typename E>
  using Array = Operand<E>;
  static constexpr DType kValues = kDTypeOf<T>;

  static Rows rows(const calls::Shape& s, Gap gap, const calls::Content& content) {
    return filled(Rows(s.n, s.h, s.w, s.c, gap), content);
  }
  static Rows shared_rows(std::int64_t count) { return rows({1, 1, 1, count}, {}, {}); }
  static Values values(std::int64_t count, const calls::Content& content) {
    return array<T>(count, content);
  }
  static Values flat(std::int64_t count, const calls::Content& content) {
    return array<T>(count, content);
  }
  template <typename E>
  static Array<E> array(std::int64_t count, const calls::Content& content) {
    return filled(Operand<E>::vector(count), content);
  }
  template <typename E>
  static Array<E> large(std::int64_t count, const calls::Content& content) {
    return array<E>(count, content);
  }
  template <typename Made>
  static Made filled(Made made, const calls::Content& content) {
    fill_again(made, content);
    return made;
  }
};

/// Brings what the op writes to where it was before the op.
template <typename Call>
void prepare(Call& call) {
  calls::for_each_output(call, [](const char*, auto& output) { output.poison(); });
  if constexpr (requires { call.start(); }) call.start();
}

template <typename Call>
void keep(Outputs& outputs, Call& call) {
  calls::for_each_output(call, [&](const char* name, auto& output) { outputs.keep(name, output); });
}

/// prepare(), the op, keep().
template <typename Call>
void run_and_keep(ExecutionContext& context, Outputs& outputs, Call& call) {
  prepare(call);
  calls::run(context, call);
  keep(outputs, call);
}

/// In one group the calls write what each writes alone, bit for bit, and beside it nothing.
template <typename Call>
testing::AssertionResult group_equals_single_calls(ExecutionContext& context, Outputs& outputs,
                                                   std::vector<Call>& group) {
  std::vector<decltype(group[0].args())> all;
  for (Call& call : group) prepare(call), all.push_back(call.args());
  Call::op(context, all);
  for (std::size_t i = 0; i < group.size(); ++i) {
    testing::AssertionResult result = testing::AssertionSuccess();
    calls::for_each_output(group[i], [&](const char*, auto& output) {
      if (result) result = output.written();
    });
    Outputs together, alone;
    keep(together, group[i]), keep(outputs, group[i]);
    run_and_keep(context, alone, group[i]);
    if (result) result = together.identical(alone);
    if (!result) return testing::AssertionFailure() << "problem " << i << ": " << result.message();
  }
  return testing::AssertionSuccess();
}

}  // namespace msd::test
