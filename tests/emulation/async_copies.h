// SPDX-License-Identifier: MIT
// A part of the scheduler: no allocation, no templates.
#pragma once

#include "tests/emulation/scheduler.h"

namespace msd::emulation {

/// Copies in flight of one thread, the oldest first.
class AsyncCopies {
 public:
  static constexpr unsigned kMost = 128;
  void clear() { first_ = count_ = ended_groups_ = 0; }
  bool post(const AsyncCopy& copy);
  void end_group() { ++ended_groups_; }
  bool take(unsigned pending_groups, AsyncCopy& copy);

 private:
  AsyncCopy copies_[kMost];
  unsigned group_[kMost];
  unsigned first_ = 0, count_ = 0, ended_groups_ = 0;
};

}  // namespace msd::emulation
