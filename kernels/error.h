// SPDX-License-Identifier: MIT
// An installed library has this file as msd/error.h: it needs the standard library alone.
#pragma once

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

namespace msd {

/// The text with '?' for each ASCII control character. A file, a path or an argument may hold any.
inline std::string one_line(std::string text) {
  const auto is_control = [](unsigned char c) { return c < 0x20 || c == 0x7f; };
  std::replace_if(text.begin(), text.end(), is_control, '?');
  return text;
}

/// Base of everything the library throws. `what()` is one line: what is wrong, where, what to do.
class Error : public std::runtime_error {
 public:
  explicit Error(std::string text) : std::runtime_error(one_line(std::move(text))) {}
};

/// A caller handed an op operands whose shapes, layouts or values break its contract.
class ShapeError : public Error {
 public:
  using Error::Error;
};
class CudaError : public Error {
 public:
  using Error::Error;
};
class OutOfMemory : public Error {
 public:
  using Error::Error;
};
/// The operating system refused: open, read, write, rename.
class IoError : public Error {
 public:
  using Error::Error;
};
/// A file was read but does not hold what its format promises.
class FormatError : public Error {
 public:
  using Error::Error;
};
/// Options or a configuration that cannot work, alone or together.
class ConfigError : public Error {
 public:
  using Error::Error;
};

}  // namespace msd
