// SPDX-License-Identifier: MIT
#include <stdexcept>
#include <string>

#include "kernels/error.h"
#include "tests/fuzz/targets.h"

bool msd::fuzz::run(void (*target)(Bytes), Bytes file) {
  try {
    target(file);
    return true;
  } catch (const Error& error) {
    if (const std::string text = error.what(); one_line(text) == text) return false;
  }
  throw std::logic_error("an error of more than one line");
}
