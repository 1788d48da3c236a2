// SPDX-License-Identifier: MIT
#include "tests/emulation/device_space.h"

#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <iterator>
#include <stdexcept>
#include <string_view>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, bytes) static_cast<void>(0)
#define ASAN_UNPOISON_MEMORY_REGION(address, bytes) static_cast<void>(0)
#endif

namespace msd::emulation {
namespace {

constexpr std::size_t kGranule = 256;

/// What an allocation takes up: its bytes, the rest of the granule and a gap of another.
std::size_t footprint(std::size_t bytes) { return (bytes / kGranule + 2) * kGranule; }

unsigned char* space_base = nullptr;

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
void explain_fault(int number, siginfo_t* info, void*) {
  const auto* address = static_cast<const unsigned char*>(info->si_addr);
  if (address >= space_base && address < space_base + kSpaceBytes) {
    constexpr std::string_view kText = "host code touched memory of the emulated device\n";
    static_cast<void>(!write(STDERR_FILENO, kText.data(), kText.size()));
  }
  std::signal(number, SIG_DFL);  // the access is tried again and ends the program
}
#endif

}  // namespace

DeviceSpace::DeviceSpace() {
  void* space =
      mmap(nullptr, kSpaceBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (space == MAP_FAILED) throw std::runtime_error("emulated device: no address space");
  base_ = space_base = static_cast<unsigned char*>(space);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  struct sigaction action = {};
  action.sa_sigaction = explain_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigaction(SIGSEGV, &action, nullptr);
#endif
}

void* DeviceSpace::allocate(std::size_t bytes) {
  if (bytes > kSpaceBytes) return nullptr;
  const std::size_t wanted = footprint(bytes);
  std::size_t offset = top_;
  for (const auto& [first, size] : free_) {
    if (size < wanted) continue;
    offset = first;
    break;
  }
  if (offset == top_) {
    if (wanted > kSpaceBytes - top_) return nullptr;
    top_ += wanted;
    if (depth_ > 0) set_reachable(true);
  } else {
    const std::size_t left = free_[offset] - wanted;
    free_.erase(offset);
    if (left > 0) free_[offset + wanted] = left;
  }
  used_bytes_ += wanted;
  ASAN_POISON_MEMORY_REGION(base_ + offset, wanted);
  ASAN_UNPOISON_MEMORY_REGION(base_ + offset, bytes);
  return base_ + offset;
}

void DeviceSpace::release(void* pointer, std::size_t bytes) {
  const auto offset = static_cast<std::size_t>(static_cast<unsigned char*>(pointer) - base_);
  used_bytes_ -= footprint(bytes);
  ASAN_POISON_MEMORY_REGION(pointer, footprint(bytes));
  auto at = free_.emplace(offset, footprint(bytes)).first;
  const auto next = std::next(at);
  if (next != free_.end() && at->first + at->second == next->first) {
    at->second += next->second;
    free_.erase(next);
  }
  if (at == free_.begin()) return;
  const auto before = std::prev(at);
  if (before->first + before->second != at->first) return;
  before->second += at->second;
  free_.erase(at);
}

void DeviceSpace::set_reachable(bool reachable) {
  if (top_ == 0) return;
  mprotect(base_, (top_ + 0xFFFF) / 0x10000 * 0x10000,
           reachable ? PROT_READ | PROT_WRITE : PROT_NONE);
}

DeviceSpace& device_space() {
  static DeviceSpace space;
  return space;
}

}  // namespace msd::emulation
