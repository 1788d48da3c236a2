// SPDX-License-Identifier: MIT
#include "engine/image_normalizer.h"

#include <gtest/gtest.h>

#include <vector>

#include "engine/runtime.h"
#include "kernels/error.h"

namespace msd {
namespace {

TEST(ImageNormalizer, NormalisesTheImagesOfTheIndexAsTheirCropsSay) {
  Runtime runtime;
  std::vector<std::uint8_t> pixels(std::size_t{3} * 2 * 2 * 3);
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(7 * i);
  const std::array<float, 3> mean = {10.0f, 20.0f, 40.0f}, std = {2.0f, 4.0f, 8.0f};
  const ImageNormalizer normalizer(runtime.allocator(), mean, std);
  const std::vector<std::int64_t> index = {2, 0};
  const std::vector<CropFlip> crops = {{0, 0, true}, {1, 0, false}};
  const Tensor y = Tensor::activation(runtime.allocator(), 2, 2, 2, 3, DType::f64);
  for (const bool cropped : {false, true}) {
    normalizer.run(runtime.context(), {pixels.data(), 3, 2, 2}, index.data(),
                   cropped ? crops.data() : nullptr, y.view());
    for (std::int64_t at = 0; at < 2 * 2 * 2 * 3; ++at) {
      const std::int64_t c = at % 3, ox = at / 3 % 2, oy = at / 6 % 2, n = at / 12;
      const CropFlip crop = cropped ? crops[static_cast<std::size_t>(n)] : CropFlip();
      const std::int64_t iy = oy + crop.top, ix = crop.flip ? 1 - ox : ox;
      const auto channel = static_cast<std::size_t>(c);
      // Divisors are powers of 2 and grey levels whole numbers: exact.
      const double grey =
          iy > 1 ? static_cast<double>(mean[channel])
                 : pixels[static_cast<std::size_t>(
                       ((index[static_cast<std::size_t>(n)] * 2 + iy) * 2 + ix) * 3 + c)];
      EXPECT_EQ(y.view().as<double>()[at / 3 * y.view().pitch + c],
                (grey - static_cast<double>(mean[channel])) / static_cast<double>(std[channel]))
          << at << (cropped ? ", cropped" : "");
    }
  }
}

TEST(ImageNormalizer, RefusesMoreChannelsThanItKnows) {
  Runtime runtime;
  const ImageNormalizer normalizer(runtime.allocator(), {}, {1.0f, 1.0f, 1.0f});
  const std::vector<std::uint8_t> pixels(4);
  const std::int64_t index = 0;
  const Tensor y = Tensor::activation(runtime.allocator(), 1, 1, 1, 4, DType::f32);
  EXPECT_THROW(
      normalizer.run(runtime.context(), {pixels.data(), 1, 1, 1}, &index, nullptr, y.view()),
      ShapeError);
}

}  // namespace
}  // namespace msd
