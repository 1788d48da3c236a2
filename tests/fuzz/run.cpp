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
    if (const std::string text = error.what(); text.find_first_of("\n\r\0", 0, 3) == text.npos) {
      return false;
    }
  }
  throw std::logic_error("an error of more than one line");
}
