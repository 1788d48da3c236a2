// SPDX-License-Identifier: MIT
#include "engine/files/hash.h"

#define XXH_INLINE_ALL  // NOLINT(readability-identifier-naming): xxhash's switch
#include <xxhash.h>

#include <cstdio>
#include <new>

namespace msd {

struct Hash::State {
  XXH3_state_t xxh3;
};

Hash::Hash() : state_(std::make_unique<State>()) { XXH3_128bits_reset(&state_->xxh3); }
Hash::~Hash() = default;

void Hash::add(std::span<const std::byte> bytes) {
  XXH3_128bits_update(&state_->xxh3, bytes.data(), bytes.size());
}

void Hash::add(std::string_view text) { add(std::as_bytes(std::span(text))); }

std::string Hash::text() const {
  const XXH128_hash_t hash = XXH3_128bits_digest(&state_->xxh3);
  char digits[33];
  std::snprintf(digits, sizeof digits, "%016llx%016llx",
                static_cast<unsigned long long>(hash.high64),
                static_cast<unsigned long long>(hash.low64));
  return std::string(kHashPrefix) + digits;
}

}  // namespace msd
