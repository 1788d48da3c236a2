// SPDX-License-Identifier: MIT
// image_to_float: (v - mean)*(1/std) in T, an error of about 1.5 eps. A task is about 64 KB of
// rows.
#include "kernels/cpu/device/rows.h"

namespace msd::cpu::MSD_ISA {
namespace {

/// One row of pixels: kC channels, or any number where kC is 0.
template <int kC, typename T>
void convert_row(const ImageToFloatArgs& args, std::int64_t image, std::int64_t row) {
  const std::int64_t c = kC > 0 ? kC : args.y.c;
  const CropFlip crop = args.crops == nullptr ? CropFlip{} : args.crops[image];
  const std::int64_t width = args.y.w, from_y = row + crop.top;
  T* to = args.y.as<T>() + (image * args.y.h + row) * width * args.y.pitch;
  const bool outside = from_y < 0 || from_y >= args.h;
  const std::int64_t from_row = args.index[image] * args.h + (outside ? 0 : from_y);
  const std::uint8_t* from = args.images + from_row * args.w * c;
  T mean[kC + 1], scale[kC + 1];  // local: a store to y may not change them
  for (int i = 0; i < kC; ++i) {
    mean[i] = static_cast<T>(args.mean[i]);
    scale[i] = T{1} / static_cast<T>(args.std[i]);
  }
  for (std::int64_t column = 0; column < width; ++column, to += args.y.pitch) {
    const std::int64_t from_x = (crop.flip ? width - 1 - column : column) + crop.left;
    if (outside || from_x < 0 || from_x >= args.w) {
      for (std::int64_t i = 0; i < c; ++i) to[i] = T{0};
      continue;
    }
    const std::uint8_t* pixel = from + from_x * c;
    if constexpr (kC > 0) {
      for (int i = 0; i < kC; ++i) to[i] = (static_cast<T>(pixel[i]) - mean[i]) * scale[i];
    } else {
      for (std::int64_t i = 0; i < c; ++i) {
        to[i] = (static_cast<T>(pixel[i]) - static_cast<T>(args.mean[i])) *
                (T{1} / static_cast<T>(args.std[i]));
      }
    }
  }
}

}  // namespace

void image_to_float(ThreadPool& pool, std::span<const ImageToFloatArgs> group) {
  const OpName op{"image_to_float"};
  for (const ImageToFloatArgs& args : group) {
    check_cpu_dtype(op.text, args.y.dtype);
    for (std::int64_t i = 0; i < args.y.n; ++i) {
      MSD_CHECK(args.index[i] >= 0 && args.index[i] < args.count, op, ": index ", i, " is ",
                args.index[i], " of ", args.count, " images");
    }
    for (std::int64_t i = 0; i < args.y.c && args.y.n > 0; ++i) {
      MSD_CHECK(args.std[i] > 0.0f, op, ": std of channel ", i, " is ", args.std[i]);
    }
  }
  for_each_line(
      pool, group, [](const ImageToFloatArgs& args) { return args.y.n * args.y.h; },
      [](const ImageToFloatArgs& args) { return args.y.w * args.y.c * size_bytes(args.y.dtype); },
      [](const ImageToFloatArgs& args, std::int64_t line) {
        for_dtype(args.y.dtype, [&]<typename T>() {
          const std::int64_t image = line / args.y.h, row = line % args.y.h;
          args.y.c == 3 ? convert_row<3, T>(args, image, row) : convert_row<0, T>(args, image, row);
        });
      });
}

}  // namespace msd::cpu::MSD_ISA
