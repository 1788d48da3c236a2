// SPDX-License-Identifier: MIT
// How the convolutions see an activation they read: a padded copy of some rows of some images in a
// worker's scratch memory, channels packed, so that the taps of one kernel row are one run.
#pragma once

#include "kernels/cpu/device/simd.h"

namespace msd::cpu::MSD_ISA {

/// Where pixel (image, row, column) of a source lies: data + image*image_stride + row*row_stride +
/// column*pixel_stride, in elements.
template <typename T>
struct Source {
  const T* data;
  std::int64_t image_stride, row_stride, pixel_stride;
};

/// Rows [row, row + rows) and columns [column, column + columns) of images [image, image + images).
/// Rows and columns may lie outside of the image: they read as 0.
struct Window {
  std::int64_t image, images;
  std::int64_t row, rows;
  std::int64_t column, columns;
  std::int64_t pixels() const { return images * rows * columns; }
};

/// Fetches rows into the second-level cache, some at every call: those of the next unit while this
/// one is computed.
class FetchAhead {
 public:
  FetchAhead() = default;
  /// Channels [0, c) of `pixels` pixels, `pitch` apart, in about `calls` calls.
  template <typename T>
  FetchAhead(const T* first, std::int64_t pixels, std::int64_t c, std::int64_t pitch,
             std::int64_t calls)
      : at_(reinterpret_cast<const char*>(first)) {
    constexpr std::int64_t kBytes = sizeof(T), kLine = 64, kRun = 4 * kLine;
    if ((pitch - c) * kBytes < kLine) {  // nearly contiguous
      rows_ = pixels * pitch * kBytes / kRun;
      row_bytes_ = pitch_bytes_ = kRun;
    } else {
      rows_ = pixels;
      row_bytes_ = c * kBytes;
      pitch_bytes_ = pitch * kBytes;
    }
    rows_a_call_ = ceil_div(rows_, calls > 0 ? calls : 1);
  }

  MSD_INLINE void advance() {
    std::int64_t count = rows_ < rows_a_call_ ? rows_ : rows_a_call_;
    rows_ -= count;
    for (; count > 0; --count, at_ += pitch_bytes_) {
      for (std::int64_t b = 0; b < row_bytes_; b += 64) __builtin_prefetch(at_ + b, 0, 2);
    }
  }

 private:
  const char* at_ = nullptr;
  std::int64_t rows_ = 0, rows_a_call_ = 0, row_bytes_ = 0, pitch_bytes_ = 0;
};

/// Elements beyond a packed copy that copy_window may write: vectors are stored whole.
template <typename T>
inline constexpr std::int64_t kScratchSlack = kLanes<T>;

template <typename T>
MSD_INLINE void fill_zero(T* to, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += kLanes<T>) store(to + i, Vec<T>{});
}

/// Copies `pixels` of `c` channels at `pitch` to rows without gaps; writes up to kScratchSlack
/// more.
template <typename T>
void copy_pixels(T* to, const T* from, std::int64_t pitch, std::int64_t pixels, std::int64_t c) {
  constexpr std::int64_t kLane = kLanes<T>;
  if (pitch == c) {
    c *= pixels;
    pixels = 1;
  }
  const std::int64_t whole = c / kLane * kLane;
  const int tail = static_cast<int>(c - whole);
  if (whole == 0) {
    for (std::int64_t p = 0; p < pixels; ++p)
      store(to + p * c, load_partial(from + p * pitch, tail));
    return;
  }
  for (std::int64_t p = 0; p < pixels; ++p, to += c, from += pitch) {
    for (std::int64_t i = 0; i < whole; i += kLane) store(to + i, load(from + i));
    if (tail != 0) store(to + whole, load_partial(from + whole, tail));
  }
}

/// Packs `window` of x into `to` (window.pixels()*x.c elements and kScratchSlack more).
template <typename T>
Source<T> copy_window(T* to, const ConstView& x, const Window& window) {
  const std::int64_t c = x.c, row_elems = window.columns * c;
  const std::int64_t left = window.column < 0 ? -window.column : 0;
  const std::int64_t end_column = window.column + window.columns;
  const std::int64_t right = end_column > x.w ? end_column - x.w : 0;
  const std::int64_t inside = window.columns - left - right;
  T* row = to;
  for (std::int64_t image = window.image; image < window.image + window.images; ++image) {
    for (std::int64_t y = window.row; y < window.row + window.rows; ++y, row += row_elems) {
      if (y < 0 || y >= x.h || inside <= 0) {
        fill_zero(row, row_elems);
        continue;
      }
      fill_zero(row, left * c);
      const T* from = x.as<T>() + ((image * x.h + y) * x.w + window.column + left) * x.pitch;
      copy_pixels(row + left * c, from, x.pitch, inside, c);
      fill_zero(row + (left + inside) * c, right * c);
    }
  }
  return {to, window.rows * row_elems, row_elems, c};
}

}  // namespace msd::cpu::MSD_ISA
