// SPDX-License-Identifier: MIT
#include "data/dataset.h"

#include <bit>
#include <cmath>

#include "engine/files/hash.h"
#include "kernels/check.h"

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

void set_channel_statistics(Dataset& data) {
  // n * sum(v * v) outgrows 64 bits from 17 megapixels on.
  __extension__ using Wide = unsigned __int128;
  const std::vector<std::uint8_t>& values = data.train.images;
  MSD_CHECK(data.train.c == 3 && !values.empty(), "statistics of ", data.train.size(),
            " images of ", data.train.c, " channels");
  std::array<std::uint64_t, 3> sum{}, squares{};
  for (std::size_t i = 0; i < values.size(); i += 3) {
    for (std::size_t c = 0; c < 3; ++c) {
      const std::uint64_t value = values[i + c];
      sum[c] += value;
      squares[c] += value * value;
    }
  }
  const std::uint64_t count = values.size() / 3;
  for (std::size_t c = 0; c < 3; ++c) {
    // n * n times the variance, exactly.
    const Wide spread = Wide{count} * squares[c] - Wide{sum[c]} * sum[c];
    const double deviation = std::sqrt(static_cast<double>(spread)) / static_cast<double>(count);
    data.mean[c] = static_cast<float>(static_cast<double>(sum[c]) / static_cast<double>(count));
    data.std[c] = spread == 0 ? 1.0f : static_cast<float>(deviation);
  }
}

std::string fingerprint(const ImageSet& train, const ImageSet& test) {
  Hash hash;
  add(hash, train);
  add(hash, test);
  return hash.text();
}

}  // namespace msd
