// SPDX-License-Identifier: MIT
// Copies between pitched rows, and the way from stored images to the network's input. Exact but for
// image_to_float: (v - mean)*(1/std) in T, an error of about 1.5 eps. A task is about 64 KB of
// rows. Bytes: each operand once (accumulate: y twice).
#include "kernels/cpu/device/rows.h"

namespace msd::cpu::MSD_ISA {
namespace {

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

template <typename T>
void fill_rows(T* y, std::int64_t pitch, std::int64_t rows, std::int64_t channels, T value) {
  if (pitch == channels) {
    channels *= rows;
    rows = 1;
  }
  for_channels<T>(channels, [&]<int V, bool kTail>(std::int64_t first, int tail) {
    T* to = y + first;
    for (std::int64_t row = 0; row < rows; ++row, to += pitch) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) store_channels<V, kTail>(to, v, tail, broadcast(value));
    }
  });
}

/// Rows of y a task takes, and the tasks of a problem.
std::int64_t rows_of_task(const ConstView& y) { return task_rows(y.c * size_bytes(y.dtype)); }
std::int64_t tasks_of(const ConstView& y) {
  return y.c == 0 ? 0 : ceil_div(y.rows(), rows_of_task(y));
}

/// The rows of a task of y, and the same rows of x.
template <typename T>
Rows<T> rows_at(const ConstView& x, const View& y, std::int64_t task) {
  const std::int64_t step = rows_of_task(y), begin = task * step;
  return {x.as<T>() + begin * x.pitch,      x.pitch, y.as<T>() + begin * y.pitch, y.pitch,
          std::min(step, y.rows() - begin), x.c};
}

template <bool kAdd, typename Args>
void move(const char* op, ThreadPool& pool, std::span<const Args> group) {
  for (const Args& args : group) check_cpu_dtype(op, args.x.dtype);
  for_each_task(
      pool, group, [](const Args& args) { return tasks_of(args.y); },
      [](const Args& args, std::int64_t task, int) {
        for_dtype(args.x.dtype,
                  [&]<typename T>() { move_rows<kAdd, T>(rows_at<T>(args.x, args.y, task)); });
      });
}

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

void concat(ThreadPool& pool, std::span<const ConcatArgs> group) {
  for (const ConcatArgs& args : group) check_cpu_dtype("concat", args.y.dtype);
  for_each_task(
      pool, group, [](const ConcatArgs& args) { return tasks_of(args.y); },
      [](const ConcatArgs& args, std::int64_t task, int) {
        for_dtype(args.y.dtype, [&]<typename T>() {
          const std::int64_t step = rows_of_task(args.y), begin = task * step;
          const std::int64_t rows = std::min(step, args.y.rows() - begin);
          T* y = args.y.as<T>() + begin * args.y.pitch;
          for (const ConstView& x : args.inputs) {
            move_rows<false, T>({x.as<T>() + begin * x.pitch, x.pitch, y, args.y.pitch, rows, x.c});
            y += x.c;
          }
        });
      });
}

void copy(ThreadPool& pool, std::span<const CopyArgs> group) { move<false>("copy", pool, group); }

void accumulate(ThreadPool& pool, std::span<const AccumulateArgs> group) {
  move<true>("accumulate", pool, group);
}

void fill(ThreadPool& pool, std::span<const FillArgs> group) {
  for (const FillArgs& args : group) check_cpu_dtype("fill", args.y.dtype);
  for_each_task(
      pool, group, [](const FillArgs& args) { return tasks_of(args.y); },
      [](const FillArgs& args, std::int64_t task, int) {
        for_dtype(args.y.dtype, [&]<typename T>() {
          const Rows<T> r = rows_at<T>(args.y, args.y, task);
          fill_rows(r.y, r.y_pitch, r.rows, r.channels, static_cast<T>(args.value));
        });
      });
}

void gather_rows(ThreadPool& pool, std::span<const GatherRowsArgs> group) {
  for (const GatherRowsArgs& args : group) {
    check_cpu_dtype("gather_rows", args.y.dtype);
    for (std::int64_t i = 0; i < args.y.n; ++i) {
      MSD_CHECK(args.index[i] >= 0 && args.index[i] < args.x.n, OpName{"gather_rows"}, ": index ",
                i, " is ", args.index[i], " of ", args.x.n, " images");
    }
  }
  // A task is one image, or some of its rows.
  const auto image_tasks = [](const GatherRowsArgs& args) {
    return args.y.c == 0 ? 0 : ceil_div(args.y.h * args.y.w, rows_of_task(args.y));
  };
  for_each_task(
      pool, group, [&](const GatherRowsArgs& args) { return args.y.n * image_tasks(args); },
      [&](const GatherRowsArgs& args, std::int64_t task, int) {
        for_dtype(args.y.dtype, [&]<typename T>() {
          const std::int64_t image = task / image_tasks(args), size = args.y.h * args.y.w;
          const std::int64_t step = rows_of_task(args.y);
          const std::int64_t begin = task % image_tasks(args) * step;
          move_rows<false, T>({args.x.as<T>() + (args.index[image] * size + begin) * args.x.pitch,
                               args.x.pitch, args.y.as<T>() + (image * size + begin) * args.y.pitch,
                               args.y.pitch, std::min(step, size - begin), args.y.c});
        });
      });
}

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
