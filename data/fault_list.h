// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

namespace msd {

/// What is wrong with some things of a row, to be told in one error: found in any order by any
/// threads, told in the row's, the first kMostTold of them and how many more there are. The text is
/// the same whatever the threads. Thread-safe.
class FaultList {
 public:
  static constexpr std::size_t kMostTold = 20;

  /// Of the thing at `position`, which has no other fault.
  void add(std::int64_t position, std::string fault);
  /// Of the next one, where faults are found in order.
  void add(std::string fault);
  std::int64_t count() const;
  /// "a.png: cut short; b.png: empty; and 3 more".
  std::string text() const;

 private:
  void insert(std::int64_t position, std::string fault);

  mutable std::mutex mutex_;
  std::map<std::int64_t, std::string> first_;
  std::int64_t count_ = 0;
};

}  // namespace msd
