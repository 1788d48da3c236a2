// SPDX-License-Identifier: MIT
// gather_rows: y's image i = x's image index[i]; NaN where index[i] is no image of x.
// Layout: rows of c channels with a pitch, any element offset. Where all addresses and pitches
//   allow it, channels are moved 16 bytes at a time; images without gaps are one long row.
// Exact, deterministic: every element is written once.
// Launch: one for up to 8 problems, blocks of 256 threads, kUnits vectors a thread; a block has a
//   part of one image, so that an image's index is read once a block.
// Bytes: y twice, the index. No FLOPs. Never ran on a GPU yet.
#include "kernels/cuda/device/group.cuh"
#include "kernels/cuda/device/ops.h"

namespace msd::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kUnits = 4;  // vectors a thread
constexpr std::int64_t kBlockUnits = kThreads * kUnits;

/// Images of `rows` rows; channels and pitches in vectors where `vectors`.
template <typename T>
struct Gather {
  const T* x;
  const std::int32_t* index;
  T* y;
  std::int64_t images, available, rows, channels, x_pitch, y_pitch, x_image, y_image;
  std::int64_t blocks_an_image;
  bool vectors;
};

template <int V, typename T>
MSD_DEVICE void gather_block(const Gather<T>& p, std::int64_t image, std::int64_t part) {
  using Elements = Vector<T, V>;
  const std::int64_t from = p.index[image];
  const bool known = from >= 0 && from < p.available;
  const auto* x = reinterpret_cast<const Elements*>(p.x) + (known ? from * p.x_image : 0);
  auto* y = reinterpret_cast<Elements*>(p.y) + image * p.y_image;
  Elements nothing;
  for (int k = 0; k < V; ++k) nothing[k] = narrow<T>(kNaN<Accumulator<T>>);
  for (int i = 0; i < kUnits; ++i) {
    const std::int64_t unit = part * kBlockUnits + i * kThreads + threadIdx.x;
    if (unit >= p.rows * p.channels) return;
    const std::int64_t row = p.rows == 1 ? 0 : unit / p.channels;
    const std::int64_t channel = unit - row * p.channels;
    y[row * p.y_pitch + channel] = known ? x[row * p.x_pitch + channel] : nothing;
  }
}

template <typename T>
__global__ void __launch_bounds__(kThreads)
    gather_images_kernel(const __grid_constant__ ProblemTable<Gather<T>> table) {
  const BlockTask task = block_task(table);
  const Gather<T>& p = table.problems[task.problem];
  const std::int64_t image = task.index / p.blocks_an_image;
  const std::int64_t part = task.index - image * p.blocks_an_image;
  if (p.vectors) {
    gather_block<kVector<T>>(p, image, part);
  } else {
    gather_block<1>(p, image, part);
  }
}

template <typename T>
Gather<T> gather_of(const GatherRowsArgs& args, void*) {
  const ConstView &x = args.x, y = args.y;
  Gather<T> p = {};
  p.x = x.as<T>(), p.index = args.index, p.y = args.y.as<T>();
  p.images = y.n, p.available = x.n;
  p.rows = y.h * y.w, p.channels = y.c;
  p.x_pitch = x.pitch, p.y_pitch = y.pitch;
  p.x_image = p.rows * x.pitch, p.y_image = p.rows * y.pitch;
  p.vectors = in_vectors(x.data, y.c, x.pitch, x.rows(), kVector<T>) &&
              in_vectors(y.data, y.c, y.pitch, y.rows(), kVector<T>);
  if (p.vectors) {
    for (std::int64_t* size : {&p.channels, &p.x_pitch, &p.y_pitch, &p.x_image, &p.y_image}) {
      *size /= kVector<T>;
    }
  }
  if (p.x_pitch == p.channels && p.y_pitch == p.channels) {
    p.channels *= p.rows;
    p.rows = 1;
  }
  p.blocks_an_image = ceil_div(p.rows * p.channels, kBlockUnits);
  return p;
}

}  // namespace

void gather_rows(Context& context, std::span<const GatherRowsArgs> group) {
  by_dtype(
      "gather_rows", ActivationTypes{}, context, group, &GatherRowsArgs::y,
      [](const GatherRowsArgs& args) { return args.y.elems() > 0; },
      [&]<typename T>(const auto&... of) { return gather_of<T>(of...); },
      [&]<typename T>(std::span<const Gather<T>> problems) {
        launch_over(context, gather_images_kernel<T>, problems, kThreads,
                    [](const Gather<T>& p) { return p.images * p.blocks_an_image; });
      });
}

}  // namespace msd::cuda
