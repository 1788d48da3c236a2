// SPDX-License-Identifier: MIT
// A block's shared memory: every variable and every piece is a heap block of its exact size, so
// that AddressSanitizer sees an overrun, and holds poison when the block starts. A part of the
// scheduler.
#pragma once

#include <cstddef>

namespace msd::emulation {

/// One __shared__ variable of the source; its address tells it apart.
struct SharedSite {
  const char* name;
  const char* file;
  int line;
};

inline constexpr std::size_t kStaticSharedLimit = 48 << 10;
inline constexpr std::size_t kSharedLimit = 227 << 10;  // of a block, after opting in

// The host's side: around a launch and before each of its blocks.
void begin_shared_memory(std::size_t dynamic_bytes, unsigned char poison);
void begin_block_shared_memory();
void end_shared_memory();

// The kernel's side.
void* shared_variable(const SharedSite& site, std::size_t bytes);
/// Piece `ordinal` of the dynamic memory, `offset` bytes from its start. All threads name the same.
void* shared_piece(unsigned ordinal, std::size_t offset, std::size_t bytes);

}  // namespace msd::emulation
