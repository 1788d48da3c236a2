// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>

#include "engine/tensor.h"
#include "kernels/ops.h"

namespace msd {

/// Images as bytes [count][h][w][c], no gaps.
struct ImageBytes {
  const std::uint8_t* data = nullptr;
  std::int64_t count = 0, h = 0, w = 0;
};

/// Brings bytes of images to what a network takes: the op image_to_float with one mean and
/// deviation. Immutable; threads share it.
class ImageNormalizer {
 public:
  /// mean and std, in grey levels per channel, are copied to the memory of `allocator`, which
  /// outlives the normalizer.
  ImageNormalizer(Allocator& allocator, const std::array<float, 3>& mean,
                  const std::array<float, 3>& std);

  /// y's image i becomes images[index[i]], cropped and mirrored as crops[i] says where crops is not
  /// null, and normalised. All operands lie in memory of the allocator's kind; nothing is
  /// allocated. Throws ShapeError for more than 3 channels, and as ImageToFloatArgs says.
  void run(ExecutionContext& context, const ImageBytes& images, const std::int64_t* index,
           const CropFlip* crops, const View& y) const;

 private:
  Tensor mean_, std_;
};

}  // namespace msd
