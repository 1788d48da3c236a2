// SPDX-License-Identifier: MIT
#include "data/dataset.h"

namespace msd {
namespace {

class Fnv1a {
 public:
  void byte(std::uint8_t value) { hash_ = (hash_ ^ value) * 0x100000001b3; }
  void integer(std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) byte(static_cast<std::uint8_t>(value >> (8 * i)));
  }
  std::uint64_t value() const { return hash_; }

 private:
  std::uint64_t hash_ = 0xcbf29ce484222325;
};

void add(Fnv1a& hash, const ImageSet& set) {
  for (const std::int64_t size : {set.size(), set.h, set.w, set.c}) {
    hash.integer(static_cast<std::uint64_t>(size), 8);
  }
  for (const std::uint8_t value : set.images) hash.byte(value);
  for (const std::int32_t label : set.labels) hash.integer(static_cast<std::uint32_t>(label), 4);
}

}  // namespace

std::string fingerprint(const ImageSet& train, const ImageSet& test) {
  Fnv1a hash;
  add(hash, train);
  add(hash, test);
  std::string text = "fnv1a64:";
  for (int shift = 60; shift >= 0; shift -= 4) {
    text += "0123456789abcdef"[(hash.value() >> shift) & 15];
  }
  return text;
}

}  // namespace msd
