// SPDX-License-Identifier: MIT
// The calls (calls/memory.h) on the harness's guarded operands.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
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

  static Rows rows(calls::Shape s, Gap gap, calls::Content content) {
    return filled(Rows(s.n, s.h, s.w, s.c, gap), content);
  }
  static Rows shared_rows(std::int64_t count) { return rows({1, 1, 1, count}, {}, {}); }
  static Values values(std::int64_t count, calls::Content content) {
    return array<T>(count, content);
  }
  static Values flat(std::int64_t count, calls::Content content) {
    return array<T>(count, content);
  }
  template <typename E>
  static Array<E> array(std::int64_t count, calls::Content content) {
    return filled(Operand<E>::vector(count), content);
  }
  template <typename E>
  static Array<E> large(std::int64_t count, calls::Content content) {
    return array<E>(count, content);
  }
  template <typename Made>
  static Made filled(Made made, calls::Content content) {
    fill_again(made, content);
    return made;
  }
};

/// Calls visit(name, operand) for each operand the op writes.
template <typename Call, typename Visit>
void for_each_output(Call& call, Visit visit) {
  std::string_view names = Call::kOutputs;
  std::apply(
      [&](auto&... outputs) {
        const auto next = [&] {
          const std::string_view name = names.substr(0, names.find(','));
          names.remove_prefix(std::min(names.size(), name.size() + 2));
          return std::string(name.substr(name.find('>') + 1));  // of this->y
        };
        (visit(next(), outputs), ...);
      },
      call.outputs());
}

/// All that the op needs, and what it writes as it was before the op.
template <typename Call>
void prepare(ExecutionContext& context, Call& call) {
  if constexpr (requires { call.workspace; }) call.workspace.poison();
  if constexpr (requires { call.packed; }) call.packed.poison(), call.pack(context);
  for_each_output(call, [](const std::string&, auto& output) { output.poison(); });
  if constexpr (requires { call.start(); }) call.start();
}

template <typename Call>
void keep(Outputs& outputs, Call& call) {
  for_each_output(call,
                  [&](const std::string& name, auto& operand) { outputs.keep(name, operand); });
}

/// Guards of what the op writes are whole, and nothing is left out.
template <typename Call>
testing::AssertionResult written(Call& call) {
  testing::AssertionResult result = testing::AssertionSuccess();
  for_each_output(call, [&](const std::string&, auto& output) {
    if (result) result = output.written();
  });
  if constexpr (requires { call.workspace; }) {
    if (result) result = call.workspace.intact();
  }
  return result;
}

/// prepare(), the op, keep().
template <typename Call>
void run_and_keep(ExecutionContext& context, Outputs& outputs, Call& call) {
  prepare(context, call);
  calls::run(context, call);
  keep(outputs, call);
}

/// Passes where check() does after each run on every backend.
template <typename Call, typename Check>
testing::AssertionResult always(Call& call, Check check) {
  return on_every_backend(
      [&](ExecutionContext& context, Outputs& outputs) -> testing::AssertionResult {
        run_and_keep(context, outputs, call);
        return check();
      });
}

/// Passes where the first operand the op writes is near `expected` on every backend.
template <typename Call>
testing::AssertionResult gives(Call& call, const std::vector<double>& expected,
                               Tolerance tolerance = {}) {
  return always(
      call, [&] { return compare(Call::kName, std::get<0>(call.outputs()), expected, tolerance); });
}

/// rejects() of the call's arguments after a change.
template <typename Call>
auto rejector(Call& call) {
  return [&call](auto change) { return rejects(Call::kOp, Call::kName, call.args(), change); };
}

/// In one group the calls write what each writes alone, bit for bit, and beside it nothing.
template <typename Call>
testing::AssertionResult group_equals_single_calls(std::vector<Call>& group) {
  return on_every_backend([&](ExecutionContext& context, Outputs& outputs) {
    std::vector<decltype(group[0].args())> all;
    for (Call& call : group) prepare(context, call), all.push_back(call.args());
    Call::kOp(context, all);
    for (std::size_t i = 0; i < group.size(); ++i) {
      testing::AssertionResult result = written(group[i]);
      Outputs together, alone;
      keep(together, group[i]), keep(outputs, group[i]);
      run_and_keep(context, alone, group[i]);
      if (result) result = together.identical(alone);
      if (!result)
        return testing::AssertionFailure() << "problem " << i << ": " << result.message();
    }
    return testing::AssertionSuccess();
  });
}

}  // namespace msd::test
