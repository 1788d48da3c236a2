// SPDX-License-Identifier: MIT
// Which threads of a block are ready, and which one runs next. A part of the scheduler: no
// allocation, no templates.
#pragma once

#include <cstdint>

#include "tests/emulation/scheduler.h"

namespace msd::emulation {

class ReadySet {
 public:
  /// All of `threads` (at most 1024) are ready.
  void start(Order order, std::uint64_t seed, unsigned threads);
  void add_all();
  void add_warp(unsigned warp);
  /// Takes the thread that runs after `current` out of the set; -1 where it is empty.
  int pick(unsigned current);

 private:
  static constexpr unsigned kMaxWarps = 32;
  unsigned warp_count() const { return (threads_ + 31) / 32; }
  unsigned random(unsigned bound);
  int take(unsigned warp, unsigned lane);
  int pick_forward(unsigned current);
  int pick_reverse(unsigned current);
  int pick_random();
  int pick_unfair();

  Order order_ = Order::forward;
  std::uint64_t state_ = 0;
  unsigned threads_ = 0;
  unsigned lanes_[kMaxWarps] = {};     // bit l: lane l is ready
  unsigned nonempty_ = 0;              // bit w: lanes_[w] != 0
  unsigned priority_[kMaxWarps] = {};  // warps, the most urgent first
};

}  // namespace msd::emulation
