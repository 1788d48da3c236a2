// SPDX-License-Identifier: MIT
// What the batch norm kernels share: how a block's threads lie over rows and channels, sums over
// rows in a fixed order, and the expression that forward and backward must agree on.
//
// A block takes `width` channels (8, 16 or 32: the smallest that holds them all, or 32) and a chunk
// of rows; thread t has channel t % width and rows t / width, t / width + slots, ... Neighbouring
// threads read neighbouring channels. All of this follows from the problem's shape, never from the
// device, and so does the order of the sums: a thread's in runs of kRunRows in the statistics'
// type, runs, threads and chunks in double. Activations may be bf16; all arithmetic is in float
// then.
#pragma once

#include <algorithm>

#include "kernels/check.h"
#include "kernels/cuda/device/group.cuh"

namespace msd::cuda {

inline constexpr int kBatchnormThreads = 256;
inline constexpr int kRunRows = 64;

struct ChannelGrid {
  std::int64_t rows = 0, chunk_rows = 0;
  int channels = 0, width = 0;
  unsigned chunks = 0, tiles = 0;

  __host__ __device__ int slots() const { return kBatchnormThreads / width; }
  std::int64_t blocks() const { return std::int64_t{chunks} * tiles; }
};

/// Chunks of about `rows_a_thread` rows a thread, at most `most_chunks`.
inline ChannelGrid channel_grid(const ConstView& x, std::int64_t rows_a_thread,
                                std::int64_t most_chunks) {
  MSD_CHECK(x.c <= 0x7FFFFFFF, "batchnorm: ", x);
  ChannelGrid grid;
  grid.rows = x.rows();
  grid.channels = static_cast<int>(x.c);
  grid.width = x.c <= 8 ? 8 : x.c <= 16 ? 16 : 32;
  const std::int64_t rows = grid.slots() * rows_a_thread;
  grid.chunk_rows = round_up(std::max(rows, ceil_div(grid.rows, most_chunks)), grid.slots());
  grid.chunks = static_cast<unsigned>(ceil_div(grid.rows, grid.chunk_rows));
  grid.tiles = static_cast<unsigned>(ceil_div(x.c, grid.width));
  return grid;
}

/// For passes that don't sum: small chunks, as many as there are.
inline ChannelGrid pointwise_grid(const ConstView& x) {
  constexpr std::int64_t kRowsAThread = 16;
  return channel_grid(x, kRowsAThread, std::max<std::int64_t>(1, x.rows()));
}

/// What one thread of block `index` of a grid does.
struct ChannelThread {
  MSD_DEVICE ChannelThread(const ChannelGrid& grid, unsigned index)
      : column(static_cast<int>(threadIdx.x) % grid.width),
        slot(static_cast<int>(threadIdx.x) / grid.width),
        slots(grid.slots()),
        chunk(index / grid.tiles),
        channel(static_cast<int>(index % grid.tiles) * grid.width + column),
        live(channel < grid.channels) {
    const std::int64_t begin = chunk * grid.chunk_rows;
    const std::int64_t end = begin + grid.chunk_rows;
    first_row = begin + slot;
    end_row = !live ? 0 : end < grid.rows ? end : grid.rows;
  }
  int column, slot, slots;
  unsigned chunk;
  int channel;
  bool live;
  std::int64_t first_row, end_row;  // none for channels past the last
};

/// Adds term(row, a, b) over the thread's rows to two sums.
template <typename A, typename Term>
MSD_DEVICE void sum_rows(const ChannelThread& t, double& sum_a, double& sum_b, Term term) {
  std::int64_t row = t.first_row;
  while (row < t.end_row) {
    A a = 0, b = 0;
    for (int i = 0; i < kRunRows && row < t.end_row; ++i, row += t.slots) term(row, a, b);
    sum_a += static_cast<double>(a);
    sum_b += static_cast<double>(b);
  }
}

/// Two sums over the block's slots, in their order; valid where slot == 0. All threads call it.
MSD_DEVICE void sum_over_slots(const ChannelThread& t, int width, double& a, double& b) {
  MSD_SHARED(double, of_thread, 2 * kBatchnormThreads);
  of_thread[threadIdx.x] = a;
  of_thread[kBatchnormThreads + threadIdx.x] = b;
  block_sync();
  if (t.slot != 0) return;
  for (int slot = 1; slot < t.slots; ++slot) {
    a += of_thread[slot * width + t.column];
    b += of_thread[kBatchnormThreads + slot * width + t.column];
  }
}

/// The chunks' sums in the workspace: [chunks][2][channels].
MSD_DEVICE void store_chunk(double* sums, const ChannelGrid& grid, const ChannelThread& t, double a,
                            double b) {
  double* chunk = sums + std::int64_t{t.chunk} * 2 * grid.channels;
  chunk[t.channel] = a;
  chunk[grid.channels + t.channel] = b;
}
/// Their totals, valid where slot == 0. Block `tile` of 256 threads sums a tile's channels.
MSD_DEVICE void sum_chunks(const double* sums, const ChannelGrid& grid, const ChannelThread& t,
                           double& a, double& b) {
  for (unsigned chunk = static_cast<unsigned>(t.slot); t.live && chunk < grid.chunks;
       chunk += static_cast<unsigned>(t.slots)) {
    const double* from = sums + std::int64_t{chunk} * 2 * grid.channels;
    a += from[t.channel];
    b += from[grid.channels + t.channel];
  }
  sum_over_slots(t, grid.width, a, b);
}

/// gamma*(x - mean)*invstd + beta before ReLU; backward asks for its sign.
template <typename T>
struct Affine {
  MSD_DEVICE Affine(T mean_, T gamma, T invstd, T beta_)
      : mean(mean_), scale(gamma * invstd), beta(beta_) {}
  MSD_DEVICE T operator()(T x) const { return multiply_add(x - mean, scale, beta); }
  T mean, scale, beta;
};

/// y = [relu](affine(x)) over the rows and channels of a grid.
template <typename T>
struct Normalisation {
  ChannelGrid grid;
  const T* x;
  T* y;
  std::int64_t x_pitch, y_pitch;
  bool relu;
};
template <typename T>
MSD_DEVICE void normalise(const Normalisation<T>& p, const ChannelThread& t,
                          const Affine<Accumulator<T>>& affine) {
  for (std::int64_t row = t.first_row; row < t.end_row; row += t.slots) {
    const Accumulator<T> value = affine(widen(p.x[row * p.x_pitch + t.channel]));
    p.y[row * p.y_pitch + t.channel] = narrow<T>(p.relu && value < 0 ? 0 : value);
  }
}
template <typename T, typename Args>
Normalisation<T> normalisation_of(const Args& args) {
  return {pointwise_grid(args.x),
          args.x.template as<T>(),
          args.y.template as<T>(),
          args.x.pitch,
          args.y.pitch,
          args.relu};
}

/// The largest number of chunks a problem of so many channels may have: as its share of the
/// workspace holds with two more numbers a channel.
inline std::int64_t most_chunks(const char* op, std::int64_t channels) {
  constexpr std::int64_t kMost = 512, kSumBytes = 2 * sizeof(double);
  const std::int64_t fit = kShareBytes / (kSumBytes * std::max<std::int64_t>(1, channels)) - 1;
  MSD_CHECK(fit >= 1, op, ": ", channels, " channels do not fit the workspace");
  return std::min(kMost, fit);
}

}  // namespace msd::cuda
