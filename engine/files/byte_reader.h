// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "kernels/check.h"

namespace msd {

/// Takes little-endian values off the front of a file's bytes; every request for more than is left
/// throws FormatError with the place.
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::size_t at() const { return at_; }
  std::size_t left() const { return bytes_.size() - at_; }

  std::span<const std::byte> take(std::uint64_t count) {
    if (count > left()) {
      throw FormatError(message("ends at byte ", bytes_.size(), ", where ", count - left(),
                                " more should follow: it is truncated or damaged"));
    }
    const auto taken = bytes_.subspan(at_, static_cast<std::size_t>(count));
    at_ += taken.size();
    return taken;
  }
  std::string_view text(std::uint64_t count) {
    const auto taken = take(count);
    return {reinterpret_cast<const char*>(taken.data()), taken.size()};
  }
  /// Up to the next line feed, which is passed over.
  std::string_view line() {
    std::size_t size = 0;
    while (size < left() && bytes_[at_ + size] != std::byte{'\n'}) ++size;
    const std::string_view taken = text(size);
    take(1);
    return taken;
  }
  template <typename T>
  T value() {
    T result;
    std::memcpy(&result, take(sizeof(T)).data(), sizeof(T));
    return result;
  }

 private:
  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
};

}  // namespace msd
