// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "engine/files/pickle.h"

namespace msd {

/// What a pickle's opcodes work on: a stack of values with marks, paid for from an arena. An opcode
/// that takes more than there is throws FormatError with its place.
class PickleStack {
 protected:
  explicit PickleStack(PickleArena& arena) : arena_(arena) {}

  /// Where the opcode in hand begins.
  void at(std::size_t place) { at_ = place; }
  template <typename... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    throw FormatError(message("pickle, byte ", at_, ": ", parts...));
  }

  void push(PickleValue* value) {
    if (stack_.size() == deepest_) grow(deepest_);
    stack_.push_back(value);
  }
  void push_mark() {
    if (marks_.size() == most_marks_) grow(most_marks_);
    marks_.push_back(stack_.size());
  }
  template <typename T>
  void push_new(T value) {
    push(arena_.add(std::move(value)));
  }
  // For values that nothing changes: most of a file's numbers are few and small.
  template <typename T>
  void push_shared(PickleValue*& shared, T value) {
    if (shared == nullptr) shared = arena_.add(std::move(value));
    push(shared);
  }
  PickleValue* pop() {
    PickleValue* value = top();
    stack_.pop_back();
    return value;
  }
  PickleValue* top() const {
    const std::size_t floor = marks_.empty() ? 0 : marks_.back();
    if (stack_.size() <= floor) fail("the stack is empty");
    return stack_.back();
  }
  /// What lies above the last mark, taken off with it.
  std::vector<const PickleValue*> pop_mark() {
    if (marks_.empty()) fail("no mark is set");
    const auto from = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<const PickleValue*> items(from, stack_.end());
    stack_.erase(from, stack_.end());
    marks_.pop_back();
    return items;
  }
  /// For pointers that a container takes in.
  void charge_items(std::size_t count) { arena_.charge(kGrowth * sizeof(void*) * count); }

  PickleArena& arena_;

 private:
  // A vector that grows has its old items, and twice as many places, for a moment.
  static constexpr std::size_t kGrowth = 3;

  // A deeper stack than ever before; pop_mark() copies a part of it.
  void grow(std::size_t& most) {
    arena_.charge((kGrowth + 1) * sizeof(void*));
    ++most;
  }

  std::size_t at_ = 0;
  std::vector<PickleValue*> stack_;
  std::vector<std::size_t> marks_;
  std::size_t deepest_ = 0, most_marks_ = 0;
};

}  // namespace msd
