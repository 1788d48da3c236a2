// SPDX-License-Identifier: MIT
#include "tests/emulation/fiber.h"

#include <sys/mman.h>

#include <boost/context/detail/fcontext.hpp>

#include "tests/emulation/scheduler.h"

// Compiled without sanitizers, so the compiler doesn't say which ones the program has.
#ifdef MSD_EMULATION_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef MSD_EMULATION_TSAN
#include <sanitizer/tsan_interface.h>
// In the library, in no header.
extern "C" void __tsan_ignore_thread_begin();  // NOLINT: not our names
extern "C" void __tsan_ignore_thread_end();    // NOLINT
#endif

namespace msd::emulation {
namespace {

using boost::context::detail::fcontext_t;
using boost::context::detail::jump_fcontext;
using boost::context::detail::make_fcontext;
using boost::context::detail::transfer_t;

#if defined(MSD_EMULATION_ASAN) || defined(MSD_EMULATION_TSAN)
constexpr std::size_t kStackBytes = 128 << 10;  // frames are larger
#else
constexpr std::size_t kStackBytes = 64 << 10;
#endif
constexpr std::size_t kPageBytes = 4096;

/// The two ends of a switch; the receiver finds them through the word that the jump carries.
struct Switch {
  Fiber* from;
  Fiber* to;
};

void arrive(transfer_t transfer) {
  const Switch& passed = *static_cast<const Switch*>(transfer.data);
  Fiber* from = passed.from;
  passed.from->context = transfer.fctx;
#ifdef MSD_EMULATION_ASAN
  // Where `from` is the host, this is how its stack becomes known.
  const bool first = from->stack == nullptr;
  __sanitizer_finish_switch_fiber(passed.to->fake_stack, first ? &from->stack : nullptr,
                                  first ? &from->stack_bytes : nullptr);
#else
  (void)from;
#endif
}

void enter(transfer_t transfer) {
  const Fiber& self = *static_cast<const Switch*>(transfer.data)->to;
  arrive(transfer);
  self.main();
}

void* new_stack() {
  void* memory = mmap(nullptr, kPageBytes + kStackBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) __builtin_trap();
  mprotect(memory, kPageBytes, PROT_NONE);
  return static_cast<char*>(memory) + kPageBytes;
}

#ifdef MSD_EMULATION_TSAN
/// TSan's fibers take turns, as making one takes half a millisecond: a fiber remembers what its
/// earlier blocks have seen, so a race is overlooked between blocks of 256 threads that run four
/// apart, or a multiple.
void* next_tsan_fiber() {
  constexpr unsigned kFibers = 1024;
  static void* fibers[kFibers];
  static unsigned next = 0;
  void*& fiber = fibers[next++ % kFibers];
  if (fiber == nullptr) fiber = __tsan_create_fiber(0);
  return fiber;
}

/// Maps the touched part of the stack anew: TSan takes that for a write by the host, and not the
/// next fiber's use of the stack for a race with this one's.
void forget_stack(const Fiber& fiber) {
  constexpr std::size_t kStackPages = kStackBytes / kPageBytes;
  char* stack = static_cast<char*>(const_cast<void*>(fiber.stack));
  unsigned char resident[kStackPages];
  if (mincore(stack, kStackBytes, resident) != 0) __builtin_trap();
  std::size_t lowest = 0;
  while (lowest < kStackPages && (resident[lowest] & 1) == 0) ++lowest;
  if (lowest == kStackPages) return;
  void* mapped =
      mmap(stack + lowest * kPageBytes, kStackBytes - lowest * kPageBytes, PROT_READ | PROT_WRITE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  if (mapped == MAP_FAILED) __builtin_trap();
}
#endif

}  // namespace

void prepare_fiber(Fiber& fiber, void (*main)()) {
  if (fiber.stack == nullptr) {
    fiber.stack = new_stack();
    fiber.stack_bytes = kStackBytes;
  }
  fiber.main = main;
  fiber.fake_stack = nullptr;
  char* top = static_cast<char*>(const_cast<void*>(fiber.stack)) + kStackBytes;
  fiber.context = make_fcontext(top, kStackBytes, enter);
#ifdef MSD_EMULATION_TSAN
  fiber.tsan_fiber = next_tsan_fiber();
#endif
}

void retire_fiber([[maybe_unused]] Fiber& fiber, [[maybe_unused]] bool abandoned) {
#ifdef MSD_EMULATION_ASAN
  // Its frames have not been left. Not by ASan's macro, which is empty in unsanitized code.
  if (abandoned) __asan_unpoison_memory_region(fiber.stack, fiber.stack_bytes);
#endif
#ifdef MSD_EMULATION_TSAN
  forget_stack(fiber);
#endif
}

void switch_fiber(Fiber& from, Fiber& to, [[maybe_unused]] bool leaving) {
#ifdef MSD_EMULATION_ASAN
  __sanitizer_start_switch_fiber(leaving ? nullptr : &from.fake_stack, to.stack, to.stack_bytes);
#endif
#ifdef MSD_EMULATION_TSAN
  if (to.tsan_fiber == nullptr) __builtin_trap();
  if (from.tsan_fiber == nullptr) from.tsan_fiber = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(to.tsan_fiber, __tsan_switch_to_fiber_no_sync);
#endif
  Switch passed{&from, &to};
  arrive(jump_fcontext(to.context, &passed));
}

void impersonate([[maybe_unused]] const Fiber& fiber) {
#ifdef MSD_EMULATION_TSAN
  __tsan_switch_to_fiber(fiber.tsan_fiber, __tsan_switch_to_fiber_no_sync);
#endif
}

void ignore_accesses([[maybe_unused]] bool begin) {
#ifdef MSD_EMULATION_TSAN
  begin ? __tsan_ignore_thread_begin() : __tsan_ignore_thread_end();
#endif
}

void acquire([[maybe_unused]] void* sync) {
#ifdef MSD_EMULATION_TSAN
  __tsan_acquire(sync);
#endif
}
void release([[maybe_unused]] void* sync) {
#ifdef MSD_EMULATION_TSAN
  __tsan_release(sync);
#endif
}

}  // namespace msd::emulation
