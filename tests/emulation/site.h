// SPDX-License-Identifier: MIT
#pragma once

namespace msd::emulation {

/// A place in a kernel's source. As a default argument `= Site::current()` it is the caller's.
struct Site {
  const char* file;
  int line;
  static constexpr Site current(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return {file, line};
  }
};

}  // namespace msd::emulation
