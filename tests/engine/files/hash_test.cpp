// SPDX-License-Identifier: MIT
#include "engine/files/hash.h"

#include <gtest/gtest.h>

namespace msd {
namespace {

std::string hash_of(std::string_view text) {
  Hash hash;
  hash.add(text);
  return hash.text();
}

// Expected: xxh3_128_hexdigest of the Python package xxhash 3.
TEST(Hash, IsXxh3Of128Bits) {
  EXPECT_EQ(hash_of(""), "xxh3-128:99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(hash_of("MSDNet"), "xxh3-128:1f3b199116649ab12e790d77c89b2fba");
  std::string all;
  for (int i = 0; i < 5 * 256; ++i) all += static_cast<char>(i);
  EXPECT_EQ(hash_of(all), "xxh3-128:d92ab3a1cb0542a74844b009e164352e");
}

TEST(Hash, DoesNotDependOnThePieces) {
  const std::string text(1000, 'x');
  for (const std::size_t piece : {1u, 7u, 256u, 999u}) {
    Hash hash;
    for (std::size_t at = 0; at < text.size(); at += piece) hash.add(text.substr(at, piece));
    EXPECT_EQ(hash.text(), hash_of(text)) << piece;
  }
}

}  // namespace
}  // namespace msd
