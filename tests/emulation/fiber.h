// SPDX-License-Identifier: MIT
// Fibers of the emulated threads, on the two assembly routines of Boost.Context, and what the
// sanitizers must be told about them. A part of the scheduler: no allocation, no templates.
#pragma once

#include <cstddef>

namespace msd::emulation {

struct Fiber {
  void* context = nullptr;  // where it continues
  void (*main)() = nullptr;
  // Lowest address, over a guard page; the host's is what ASan found out about it.
  const void* stack = nullptr;
  std::size_t stack_bytes = 0;
  void* fake_stack = nullptr;  // ASan's
  void* tsan_fiber = nullptr;
};

/// Makes `fiber` start with main(), which must not return, at the next switch to it. Its stack is
/// made on first use and kept.
void prepare_fiber(Fiber& fiber, void (*main)());
/// After its last switch; `abandoned` where it stopped in the middle.
void retire_fiber(Fiber& fiber, bool abandoned);
/// Goes on in `to`; returns when somebody switches back to `from`, never where it is leaving.
void switch_fiber(Fiber& from, Fiber& to, bool leaving);
/// What follows is the doing of `fiber`, in the thread sanitizer's eyes.
void impersonate(const Fiber& fiber);
/// The thread sanitizer does not look between true and false. The scheduler is not instrumented,
/// but its compiler may call memcpy, which is.
void ignore_accesses(bool begin);

}  // namespace msd::emulation
