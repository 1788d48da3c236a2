// SPDX-License-Identifier: MIT
#include "tests/emulation/ready_set.h"

namespace msd::emulation {
namespace {

unsigned lowest(unsigned bits) { return static_cast<unsigned>(__builtin_ctz(bits)); }
unsigned highest(unsigned bits) { return 31u - static_cast<unsigned>(__builtin_clz(bits)); }
unsigned nth_bit(unsigned bits, unsigned n) {
  while (n-- > 0) bits &= bits - 1;
  return lowest(bits);
}
unsigned count_bits(unsigned bits) { return static_cast<unsigned>(__builtin_popcount(bits)); }

}  // namespace

void ReadySet::start(Order order, std::uint64_t seed, unsigned threads) {
  order_ = order;
  state_ = seed * 0x9E3779B97F4A7C15u + 1;
  threads_ = threads;
  nonempty_ = 0;  // a block that failed leaves some behind
  for (unsigned w = 0; w < warp_count(); ++w) priority_[w] = w;
  for (unsigned w = warp_count(); w > 1; --w) {
    const unsigned other = random(w);
    const unsigned swapped = priority_[w - 1];
    priority_[w - 1] = priority_[other];
    priority_[other] = swapped;
  }
  add_all();
}

void ReadySet::add_all() {
  for (unsigned w = 0; w < warp_count(); ++w) add_warp(w);
}

void ReadySet::add_warp(unsigned warp) {
  const unsigned lanes = threads_ - warp * 32;
  lanes_[warp] = lanes >= 32 ? ~0u : (1u << lanes) - 1;
  nonempty_ |= 1u << warp;
}

// SplitMix64.
unsigned ReadySet::random(unsigned bound) {
  std::uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return static_cast<unsigned>((z >> 33) % bound);
}

int ReadySet::take(unsigned warp, unsigned lane) {
  lanes_[warp] &= ~(1u << lane);
  if (lanes_[warp] == 0) nonempty_ &= ~(1u << warp);
  return static_cast<int>(warp * 32 + lane);
}

int ReadySet::pick(unsigned current) {
  if (nonempty_ == 0) return -1;
  switch (order_) {
    case Order::forward:
      return pick_forward(current);
    case Order::reverse:
      return pick_reverse(current);
    case Order::random:
      return pick_random();
    case Order::unfair:
      return pick_unfair();
  }
  return -1;
}

int ReadySet::pick_forward(unsigned current) {
  const unsigned warp = current / 32, lane = current % 32;
  const unsigned later_lanes = lane == 31 ? 0u : lanes_[warp] & (~0u << (lane + 1));
  if (later_lanes != 0) return take(warp, lowest(later_lanes));
  const unsigned later_warps = warp == 31 ? 0u : nonempty_ & (~0u << (warp + 1));
  const unsigned next = lowest(later_warps != 0 ? later_warps : nonempty_);
  return take(next, lowest(lanes_[next]));
}

int ReadySet::pick_reverse(unsigned current) {
  const unsigned warp = current / 32, lane = current % 32;
  const unsigned earlier_lanes = lanes_[warp] & ((1u << lane) - 1);
  if (earlier_lanes != 0) return take(warp, highest(earlier_lanes));
  const unsigned earlier_warps = nonempty_ & ((1u << warp) - 1);
  const unsigned next = highest(earlier_warps != 0 ? earlier_warps : nonempty_);
  return take(next, highest(lanes_[next]));
}

int ReadySet::pick_random() {
  const unsigned warp = nth_bit(nonempty_, random(count_bits(nonempty_)));
  return take(warp, nth_bit(lanes_[warp], random(count_bits(lanes_[warp]))));
}

int ReadySet::pick_unfair() {
  for (unsigned w = 0; w < warp_count(); ++w) {
    const unsigned warp = priority_[w];
    if (lanes_[warp] == 0) continue;
    return take(warp, nth_bit(lanes_[warp], random(count_bits(lanes_[warp]))));
  }
  return -1;
}

}  // namespace msd::emulation
