// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace msd {

/// XXH3, 128 bits (xxhash): finds damage and tells contents apart; no protection against forgery.
class Hash {
 public:
  Hash();
  ~Hash();
  Hash(const Hash&) = delete;
  Hash& operator=(const Hash&) = delete;

  void add(std::span<const std::byte> bytes);
  void add(std::string_view text);
  /// kHashPrefix and 32 hex digits, of everything added so far.
  std::string text() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

inline constexpr std::string_view kHashPrefix = "xxh3-128:";
inline constexpr std::size_t kHashTextSize = kHashPrefix.size() + 32;

}  // namespace msd
