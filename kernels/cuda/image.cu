// SPDX-License-Identifier: MIT
// image_to_float: y[i][v][u][c] = (images[index[i]][v + top][u' + left][c] - mean[c])/std[c],
//   u' = u, or its mirror image; 0 outside the image; NaN where index[i] is no image or std[c] is
//   not above 0.
// Layout: images [count][h][w][c] bytes; y rows of c channels with a pitch, any element offset.
//   Everything, index, crops, mean and std included, lies in device memory.
// Accumulation: as on the CPU, in float (f64: double): 3 roundings, one more for bf16.
// Deterministic and batch-invariant: every element is written once.
// Launch: one for up to 8 problems, blocks of 256 threads, a thread a pixel.
// Bytes: a pixel's c bytes read, c elements written. 2 FLOPs an element. Never ran on a GPU yet.
#include "kernels/check.h"
#include "kernels/cuda/device/elements.cuh"
#include "kernels/cuda/device/group.cuh"
#include "kernels/cuda/device/ops.h"

namespace msd::cuda {
namespace {

constexpr int kThreads = 256;

template <typename T>
struct Conversion {
  const std::uint8_t* images;
  std::int64_t count, h, w;
  const std::int64_t* index;
  const CropFlip* crops;
  const float *mean, *std;
  T* y;
  std::int64_t pitch;
  unsigned y_h, y_w, channels, pixels;
};

template <typename T>
__global__ void __launch_bounds__(kThreads)
    crop_kernel(const __grid_constant__ ProblemTable<Conversion<T>> table) {
  using A = Accumulator<T>;
  const BlockTask task = block_task(table);
  const Conversion<T>& p = table.problems[task.problem];
  const unsigned pixel = task.index * kThreads + threadIdx.x;
  if (pixel >= p.pixels) return;
  const unsigned line = pixel / p.y_w, column = pixel - line * p.y_w;
  const unsigned image = line / p.y_h, row = line - image * p.y_h;
  CropFlip crop;
  if (p.crops != nullptr) crop = p.crops[image];
  const std::int64_t from = p.index[image];
  const std::int64_t from_y = std::int64_t{row} + crop.top;
  const std::int64_t from_x = std::int64_t{crop.flip ? p.y_w - 1 - column : column} + crop.left;
  const bool known = from >= 0 && from < p.count;
  const bool inside = from_y >= 0 && from_y < p.h && from_x >= 0 && from_x < p.w;
  const std::uint8_t* values = p.images;
  if (known && inside) values += ((from * p.h + from_y) * p.w + from_x) * p.channels;
  T* to = p.y + std::int64_t{pixel} * p.pitch;
  for (unsigned c = 0; c < p.channels; ++c) {
    A value = known ? 0 : kNaN<A>;
    if (known && inside) {
      const auto deviation = static_cast<A>(p.std[c]);
      const A scale = deviation > 0 ? 1 / deviation : kNaN<A>;
      value = (static_cast<A>(values[c]) - static_cast<A>(p.mean[c])) * scale;
    }
    to[c] = narrow<T>(value);
  }
}

template <typename T>
Conversion<T> conversion_of(const ImageToFloatArgs& args, void*) {
  const View& y = args.y;
  MSD_CHECK(y.rows() <= 0x7FFFFFFF - kThreads && y.c <= 0x7FFFFFFF,
            "image_to_float: ", ConstView(y), " is too large");
  return {args.images,
          args.count,
          args.h,
          args.w,
          args.index,
          args.crops,
          args.mean,
          args.std,
          y.as<T>(),
          y.pitch,
          static_cast<unsigned>(y.h),
          static_cast<unsigned>(y.w),
          static_cast<unsigned>(y.c),
          static_cast<unsigned>(y.rows())};
}

}  // namespace

void image_to_float(Context& context, std::span<const ImageToFloatArgs> group) {
  by_dtype(
      "image_to_float", ActivationTypes{}, context, group, &ImageToFloatArgs::y,
      [](const ImageToFloatArgs& args) { return args.y.elems() > 0; },
      [&]<typename T>(const auto&... of) { return conversion_of<T>(of...); },
      [&]<typename T>(std::span<const Conversion<T>> problems) {
        launch_over(context, crop_kernel<T>, problems, kThreads,
                    [](const Conversion<T>& p) { return ceil_div(p.pixels, kThreads); });
      });
}

}  // namespace msd::cuda
