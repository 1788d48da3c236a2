// SPDX-License-Identifier: MIT
#include "data/fault_list.h"

#include <iterator>
#include <utility>

#include "kernels/check.h"

namespace msd {

void FaultList::add(std::int64_t position, std::string fault) {
  const std::lock_guard lock(mutex_);
  insert(position, std::move(fault));
}

void FaultList::add(std::string fault) {
  const std::lock_guard lock(mutex_);
  insert(count_, std::move(fault));
}

void FaultList::insert(std::int64_t position, std::string fault) {
  ++count_;
  first_.emplace(position, std::move(fault));
  if (first_.size() > kMostTold) first_.erase(std::prev(first_.end()));
}

std::int64_t FaultList::count() const {
  const std::lock_guard lock(mutex_);
  return count_;
}

std::string FaultList::text() const {
  const std::lock_guard lock(mutex_);
  std::string text;
  for (const auto& [position, fault] : first_) text += (text.empty() ? "" : "; ") + fault;
  const std::int64_t more = count_ - static_cast<std::int64_t>(first_.size());
  return more == 0 ? text : message(text, "; and ", more, " more");
}

}  // namespace msd
