// SPDX-License-Identifier: MIT
#include "tests/emulation/async_copies.h"

namespace msd::emulation {

bool AsyncCopies::post(const AsyncCopy& copy) {
  if (count_ == kMost) return false;
  const unsigned at = (first_ + count_++) % kMost;
  copies_[at] = copy;
  group_[at] = ended_groups_;
  return true;
}

bool AsyncCopies::take(unsigned pending_groups, AsyncCopy& copy) {
  if (count_ == 0) return false;
  // Group g has ended where g < ended_groups_, and is not among the last where it is older still.
  if (group_[first_] + pending_groups >= ended_groups_) return false;
  copy = copies_[first_];
  first_ = (first_ + 1) % kMost;
  --count_;
  return true;
}

}  // namespace msd::emulation
