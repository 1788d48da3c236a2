// SPDX-License-Identifier: MIT
#include "tests/emulation/shared_memory.h"

#include <cstdlib>
#include <cstring>
#include <new>

#include "tests/emulation/planting.h"
#include "tests/emulation/scheduler.h"

namespace msd::emulation {
namespace {

constexpr std::size_t kAlignment = 128;

struct Variable {
  const SharedSite* site = nullptr;  // nullptr for a piece
  std::size_t offset = 0, bytes = 0;
  void* memory = nullptr;
  bool live = false;  // holds this block's values
  char sync = 0;      // its address stands for the making of the memory
};

// Memory that blocks before this one used. TSan would take its reuse for a race between the blocks.
struct Retired {
  Retired* next;
  void* memory;
};

constexpr unsigned kMost = 64;
Variable statics[kMost], pieces[kMost];
unsigned static_count = 0;
std::size_t dynamic_bytes = 0;
unsigned char poison = 0;
Retired* retired = nullptr;

#ifdef MSD_EMULATION_TSAN
constexpr bool kFreshForEveryBlock = true;
#else
constexpr bool kFreshForEveryBlock = false;
#endif

// By the host, as allocator and memset are sanitized and the first thread to come here is no more
// the maker of the memory than the others.
void renew(void* argument) {
  auto& variable = *static_cast<Variable*>(argument);
  if (variable.memory != nullptr && kFreshForEveryBlock) {
    retired = new (std::malloc(sizeof(Retired))) Retired{retired, variable.memory};
    variable.memory = nullptr;
  }
  if (variable.memory == nullptr &&
      posix_memalign(&variable.memory, kAlignment, variable.bytes) != 0) {
    std::abort();
  }
  std::memset(variable.memory, poison, variable.bytes);
  release(&variable.sync);
}

void* use(Variable& variable) {
  if (!variable.live) {
    as_host(renew, &variable);
    variable.live = true;
  }
  acquire(&variable.sync);
  return variable.memory;
}

void free_all(Variable* variables) {
  for (unsigned i = 0; i < kMost; ++i) {
    std::free(variables[i].memory);
    variables[i] = {};
  }
}

}  // namespace

void begin_shared_memory(std::size_t bytes, unsigned char poison_byte) {
  dynamic_bytes = bytes;
  poison = poison_byte;
}

void begin_block_shared_memory() {
  for (unsigned i = 0; i < kMost; ++i) statics[i].live = pieces[i].live = false;
}

void end_shared_memory() {
  free_all(statics);
  free_all(pieces);
  static_count = 0;
  while (retired != nullptr) {
    Retired* next = retired->next;
    std::free(retired->memory);
    std::free(retired);
    retired = next;
  }
}

void* shared_variable(const SharedSite& site, std::size_t bytes) {
  std::size_t total = bytes;
  for (unsigned i = 0; i < static_count; ++i) {
    if (statics[i].site == &site) return use(statics[i]);
    total += statics[i].bytes;
  }
  if (total > kStaticSharedLimit || total + dynamic_bytes > kSharedLimit) {
    fail(
        "%s at %s:%d makes %zu bytes of static shared memory, with %zu of dynamic; the limits are "
        "%zu and together %zu",
        site.name, site.file, site.line, total, dynamic_bytes, kStaticSharedLimit, kSharedLimit);
  }
  if (static_count == kMost) fail("more than %u shared variables", kMost);
  Variable& variable = statics[static_count++];
  variable.site = &site;
  variable.bytes = bytes - (planted(Fault::short_array, {site.file, site.line}) ? 1 : 0);
  return use(variable);
}

void* shared_piece(unsigned ordinal, std::size_t offset, std::size_t bytes) {
  if (ordinal >= kMost) fail("more than %u pieces of dynamic shared memory", kMost);
  if (offset + bytes > dynamic_bytes) {
    fail("piece %u of dynamic shared memory ends at byte %zu, the launch asked for %zu", ordinal,
         offset + bytes, dynamic_bytes);
  }
  Variable& piece = pieces[ordinal];
  if (piece.memory == nullptr) {
    piece.offset = offset;
    piece.bytes = bytes == 0 ? 1 : bytes;
  } else if (piece.offset != offset || piece.bytes != (bytes == 0 ? 1 : bytes)) {
    fail("threads disagree on piece %u of dynamic shared memory: %zu bytes at %zu, or %zu at %zu",
         ordinal, piece.bytes, piece.offset, bytes, offset);
  }
  return use(piece);
}

}  // namespace msd::emulation
