// SPDX-License-Identifier: MIT
#include "data/dataset.h"

#include <bit>

#include "engine/hash.h"

namespace msd {
namespace {

static_assert(std::endian::native == std::endian::little, "the integers are hashed as they lie");

void add(Hash& hash, const ImageSet& set) {
  const std::int64_t sizes[] = {set.size(), set.h, set.w, set.c};
  hash.add(std::as_bytes(std::span(sizes)));
  hash.add(std::as_bytes(std::span(set.images)));
  hash.add(std::as_bytes(std::span(set.labels)));
}

}  // namespace

std::string fingerprint(const ImageSet& train, const ImageSet& test) {
  Hash hash;
  add(hash, train);
  add(hash, test);
  return hash.text();
}

}  // namespace msd
