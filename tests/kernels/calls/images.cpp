// SPDX-License-Identifier: MIT
#include "tests/kernels/calls/images.h"

namespace msd::calls {

std::vector<double> normalised(const ImagesShape& s, const std::vector<double>& pixels,
                               const std::vector<double>& index, const CropFlip* crops,
                               const std::vector<double>& mean, const std::vector<double>& std) {
  std::vector<double> values;
  const Shape& out = s.out;
  for (std::int64_t i = 0; i < out.elems(); ++i) {
    const std::int64_t c = i % out.c, ox = i / out.c % out.w, oy = i / out.c / out.w % out.h;
    const std::int64_t n = i / out.c / out.w / out.h;
    const CropFlip crop = crops == nullptr ? CropFlip{} : crops[n];
    const std::int64_t y = oy + crop.top;
    const std::int64_t x = (crop.flip ? out.w - 1 - ox : ox) + crop.left;
    if (y < 0 || y >= s.h || x < 0 || x >= s.w) {
      values.push_back(0.0);
      continue;
    }
    const auto image = static_cast<std::int64_t>(index[static_cast<std::size_t>(n)]);
    const auto at = static_cast<std::size_t>(((image * s.h + y) * s.w + x) * out.c + c);
    const auto channel = static_cast<std::size_t>(c);
    values.push_back((pixels[at] - mean[channel]) / std[channel]);
  }
  return values;
}

}  // namespace msd::calls
