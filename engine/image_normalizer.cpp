// SPDX-License-Identifier: MIT
#include "engine/image_normalizer.h"

#include "kernels/check.h"

namespace msd {

ImageNormalizer::ImageNormalizer(Allocator& allocator, const std::array<float, 3>& mean,
                                 const std::array<float, 3>& std)
    : mean_(Tensor::empty(allocator, {3}, DType::f32)),
      std_(Tensor::empty(allocator, {3}, DType::f32)) {
  mean_.write(mean.data(), sizeof(mean));
  std_.write(std.data(), sizeof(std));
}

void ImageNormalizer::run(ExecutionContext& context, const ImageBytes& images,
                          const std::int64_t* index, const CropFlip* crops, const View& y) const {
  MSD_CHECK(y.c <= 3, "normalising ", ConstView(y), ": mean and std are of 3 channels");
  ImageToFloatArgs args;
  args.images = images.data;
  args.count = images.count;
  args.h = images.h;
  args.w = images.w;
  args.index = index;
  args.crops = crops;
  args.mean = static_cast<const float*>(mean_.data());
  args.std = static_cast<const float*>(std_.data());
  args.y = y;
  image_to_float(context, {&args, 1});
}

}  // namespace msd
