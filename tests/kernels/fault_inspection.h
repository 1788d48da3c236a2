// SPDX-License-Identifier: MIT
// A kernel with every fault that can be planted into it (tests/emulation/planting.h), line by line:
// the ways the ops' tests run in must show each of them, as other bits or as an error. A barrier
// that can go without anybody noticing is one too many, or the tests are blind.
#pragma once

#include <functional>

#include "tests/kernels/call_runs.h"

namespace msd::test {

/// An op on operands of its own that keeps what it wrote.
using Subject = std::function<void(ExecutionContext&, Outputs&)>;

/// Plants every fault into what the subject runs; fails the test where one goes unnoticed.
void inspect(const Subject& subject);

/// The same for a call.
template <typename Call>
void inspect_call(Call call) {
  inspect([&](ExecutionContext& context, Outputs& out) { run_and_keep(context, out, call); });
}

}  // namespace msd::test
