// SPDX-License-Identifier: MIT
// Copies between pitched rows: what movement.cpp and gather.cpp share. A task is about 64 KB of
// rows.
#pragma once

#include "kernels/cpu/device/rows.h"

namespace msd::cpu::MSD_ISA {

/// Rows of one width, in and out.
template <typename T>
struct Rows {
  const T* x;
  std::int64_t x_pitch;
  T* y;
  std::int64_t y_pitch;
  std::int64_t rows, channels;
};

/// y = x or y += x.
template <bool kAdd, typename T>
void move_rows(Rows<T> r) {
  if (r.x_pitch == r.channels && r.y_pitch == r.channels) {  // no gaps: one long row
    r.channels *= r.rows;
    r.rows = 1;
  }
  for_channels<T>(r.channels, [&]<int V, bool kTail>(std::int64_t first, int tail) {
    const T* from = r.x + first;
    T* to = r.y + first;
    for (std::int64_t row = 0; row < r.rows; ++row, from += r.x_pitch, to += r.y_pitch) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        Vec<T> value = load_channels<V, kTail>(from, v, tail);
        if (kAdd) value = load_channels<V, kTail>(to, v, tail) + value;
        store_channels<V, kTail>(to, v, tail, value);
      }
    }
  });
}

/// Rows of y a task takes.
inline std::int64_t rows_of_task(const ConstView& y) {
  return task_rows(y.c * size_bytes(y.dtype));
}

}  // namespace msd::cpu::MSD_ISA
