// SPDX-License-Identifier: MIT
// What picks images by index.
#pragma once

#include <vector>

#include "tests/kernels/calls/memory.h"

namespace msd::calls {

template <typename Memory>
struct GatherRows {
  GatherRows(const Shape& s, std::int64_t picked, Gap gap = {}, Gap y_gap = {}, Memory memory = {})
      : x(memory.rows(s, gap, {1})),
        index(
            memory.template array<std::int32_t>(picked, whole(2, 0, static_cast<double>(s.n - 1)))),
        y(memory.rows({picked, s.h, s.w, s.c}, y_gap, {})) {}
  MSD_CALL(gather_rows, y)
  GatherRowsArgs args() { return {x.view(), index.data(), y.view()}; }
  typename Memory::Rows x;
  typename Memory::template Array<std::int32_t> index;
  typename Memory::Rows y;
};

struct ImagesShape {
  std::int64_t count, h, w;
  Shape out;
};

/// y. pixels: packed [count][h][w][c].
std::vector<double> normalised(const ImagesShape& s, const std::vector<double>& pixels,
                               const std::vector<double>& index, const CropFlip* crops,
                               const std::vector<double>& mean, const std::vector<double>& std);

/// Without crops until somebody sets them.
template <typename Memory>
struct ImageToFloat {
  explicit ImageToFloat(const ImagesShape& s, Gap gap = {}, Memory memory = {})
      : shape(s),
        pixels(
            memory.template array<std::uint8_t>(s.count * s.h * s.w * s.out.c, whole(1, 0, 255))),
        index(memory.template array<std::int64_t>(s.out.n,
                                                  whole(2, 0, static_cast<double>(s.count - 1)))),
        mean(memory.template array<float>(s.out.c, {3, 100.0, 140.0})),
        std(memory.template array<float>(s.out.c, {4, 50.0, 70.0})),
        y(memory.rows(s.out, gap, {})) {}
  MSD_CALL(image_to_float, y)
  ImageToFloatArgs args() {
    return {pixels.data(), shape.count, shape.h,    shape.w, index.data(),
            crops,         mean.data(), std.data(), y.view()};
  }
  std::vector<double> expected() const {
    return normalised(shape, pixels.doubles(), index.doubles(), crops, mean.doubles(),
                      std.doubles());
  }
  ImagesShape shape;
  typename Memory::template Array<std::uint8_t> pixels;
  typename Memory::template Array<std::int64_t> index;
  typename Memory::template Array<float> mean, std;
  typename Memory::Rows y;
  const CropFlip* crops = nullptr;
};

}  // namespace msd::calls
