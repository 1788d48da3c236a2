// SPDX-License-Identifier: MIT
// An installed library has this file as msd/error.h: it needs the standard library alone.
#pragma once

#include <algorithm>
#include <cstddef>
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
  /// `place`: the condition or call that failed and its line in the source, which what() ends with.
  Error(const std::string& text, const std::string& place)
      : std::runtime_error(one_line(text + " [" + place + "]")),
        place_bytes_(place.size() + std::char_traits<char>::length(" []")) {}

  /// what() without the place in the source, which only a developer can use.
  std::string text() const {
    const std::string whole = what();
    return whole.substr(0, whole.size() - place_bytes_);
  }
  bool has_place() const { return place_bytes_ > 0; }

 private:
  std::size_t place_bytes_ = 0;
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
