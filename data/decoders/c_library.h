// SPDX-License-Identifier: MIT
#pragma once

#include <csetjmp>

namespace msd {

/// Runs `step`, which calls a C library whose error handler jumps to `failed`; false where it did.
/// A jump must not leave objects behind that have something to destroy: what `step` uses lives
/// outside it, and `step` makes no such object.
template <typename Step>
bool succeeds(std::jmp_buf& failed, const Step& step) {
  if (setjmp(failed) != 0) return false;
  step();
  return true;
}

}  // namespace msd
